import { canonicalAddress } from '../address.ts';
import type { CompiledPolicy } from '../compile.ts';
import { enumerate, printable } from '../text.ts';
import type { ConnectionObligations, Decision, NetConnect } from '../vocabulary.ts';
import { admit, type CompiledEndpoint, type Destination, hasIdentity, type Refusal } from './network.ts';
import { defaultRule } from './rule.ts';
import { allowNetwork, type NetworkRequest } from './snippet.ts';

export function decideConnection(policy: CompiledPolicy, action: NetConnect): Decision {
  const { endpoints, refusal } = admit(policy.network, policy.filesystem, action);
  if (refusal !== undefined) return refuseDestination(action, refusal, suggestAccess(policy, action));
  const { rule, policy: network } = mostSpecific(endpoints.flat());
  return {
    effect: 'allow',
    rule,
    reason: `network policy "${network.name}" allows ${destinationText(action)}`,
    enforced: true,
    obligations: obligationsOf(endpoints),
  };
}

/** The lowest rank; `endpoints` is never empty. */
export function mostSpecific(endpoints: readonly CompiledEndpoint[]): CompiledEndpoint {
  return endpoints.reduce((best, endpoint) => (endpoint.rank < best.rank ? endpoint : best));
}

function obligationsOf(admitted: readonly (readonly CompiledEndpoint[])[]): ConnectionObligations {
  const endpoints = admitted.flat().map(({ endpoint }) => endpoint);
  const inspected = endpoints.some(({ protocol }) => protocol === 'rest');
  const untouched = endpoints.every(({ tls }) => tls === 'skip');
  return {
    ...(inspected && { inspect: 'rest' }),
    tls: untouched && !inspected ? 'skip' : 'terminate',
    allowedIps: commonAddresses(admitted),
  };
}

/** One process may use what any of its endpoints names; what several processes share, each must be allowed. */
function commonAddresses(admitted: readonly (readonly CompiledEndpoint[])[]): string[] {
  const [first = new Set<string>(), ...rest] = admitted.map(
    (endpoints) => new Set(endpoints.flatMap(({ allowedIps }) => allowedIps)),
  );
  return [...first].filter((block) => rest.every((other) => other.has(block))).sort();
}

/** The denial of a connection, or of a request on it, that falls under no endpoint. */
export function refuseDestination(destination: Destination, refusal: Refusal, allowWith: string | undefined): Decision {
  return {
    effect: 'deny',
    rule: defaultRule('network_policies', 'not listed'),
    reason: explain(destination, refusal),
    enforced: true,
    ...(allowWith !== undefined && { allowWith }),
  };
}

/**
 * A network policy for the programs behind an action; undefined where one has no identity: it cannot be given
 * access, only replaced by one that has.
 */
export function suggestAccess(
  { network, filesystem }: CompiledPolicy,
  { subject, host, port }: Destination,
  http?: NetworkRequest['http'],
): string | undefined {
  const binaries = (subject.processes ?? []).map(({ executable }) => executable ?? '');
  if (!binaries.every((path) => hasIdentity(filesystem, path))) return undefined;
  return allowNetwork({ host, port, binaries, ...(http !== undefined && { http }) }, network.keys);
}

export function destinationText({ host, port }: Destination): string {
  return host.includes(':') ? `[${printable(host)}]:${port}` : `${printable(host)}:${port}`;
}

function explain(destination: Destination, refusal: Refusal): string {
  const where = destinationText(destination);
  switch (refusal.cause) {
    case 'unidentified':
      return 'the process behind this connection could not be identified';
    case 'host':
      return canonicalAddress(destination.host) === undefined
        ? `no network policy names the host ${printable(destination.host)}`
        : `${printable(destination.host)} is a literal address, and no network policy names that address`;
    case 'port': {
      const ports = new Set(refusal.candidates.flatMap(({ ports: listed }) => [...listed]));
      const shown = enumerate([...ports].sort((left, right) => left - right).map(String));
      return `${names(refusal.candidates)} allows ${printable(destination.host)} only on port ${shown}, not ${destination.port}`;
    }
    case 'binary': {
      const allowed = [...new Set(refusal.candidates.flatMap(({ policy }) => policy.binaries.map(({ path }) => path)))];
      const executable = printable(refusal.executable);
      return `${names(refusal.candidates)} allows ${where} only for ${enumerate(allowed)}, not for ${executable}`;
    }
    case 'writable':
      return `${printable(refusal.executable)} can be written from inside the sandbox, so it has no identity and no network access`;
    case 'hidden':
      return `${printable(refusal.executable)} is not in a path that the policy lists, so it has no identity and no network access`;
  }
}

function names(endpoints: readonly CompiledEndpoint[]): string {
  const unique = [...new Set(endpoints.map(({ policy }) => `"${policy.name}"`))];
  return `network policy ${enumerate(unique)}`;
}
