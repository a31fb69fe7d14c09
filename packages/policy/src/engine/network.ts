/** Which endpoints of the policy a connection falls under. */
import { type AddressBlock, canonicalAddress, overlaps, parseAddress, parseBlock } from '../address.ts';
import { compileGlob, type Glob } from '../glob.ts';
import { isHostName, normaliseHost } from '../host.ts';
import type { Endpoint, NetworkPolicy, Policy } from '../policy.ts';
import type { ProcessRef, RuleRef, Subject } from '../vocabulary.ts';
import { type FileRules, findFileRule } from './filesystem.ts';
import { compileRest, type RestRules } from './rest.ts';
import { ruleAt, specificity } from './rule.ts';

export interface CompiledEndpoint {
  readonly endpoint: Endpoint;
  readonly policy: NetworkPolicy;
  readonly rule: RuleRef;
  readonly ports: ReadonlySet<number>;
  readonly binaries: readonly Glob[];
  readonly rest: RestRules;
  /** What may be dialled although it is not public: `allowed_ips`, and the address that is the host. */
  readonly allowedIps: readonly string[];
  /** Position among all endpoints, the most specific host first, then file order. */
  readonly rank: number;
}

export interface NetworkIndex {
  /** Names and canonical addresses; the two cannot be mistaken for one another. */
  readonly exact: ReadonlyMap<string, readonly CompiledEndpoint[]>;
  /** Wildcards by their last two labels, which are always literal. */
  readonly wildcards: ReadonlyMap<string, readonly { readonly glob: Glob; readonly endpoint: CompiledEndpoint }[]>;
  /** Endpoints without a host, by the blocks of their `allowed_ips`. */
  readonly blocks: readonly { readonly block: AddressBlock; readonly endpoint: CompiledEndpoint }[];
  readonly keys: ReadonlySet<string>;
}

export function compileNetwork(policy: Policy): NetworkIndex {
  const exact = new Map<string, CompiledEndpoint[]>();
  const wildcards = new Map<string, { glob: Glob; endpoint: CompiledEndpoint }[]>();
  const blocks: { block: AddressBlock; endpoint: CompiledEndpoint }[] = [];
  for (const compiled of compileEndpoints(policy)) {
    const { host, allowedIps } = compiled.endpoint;
    if (host === '') {
      for (const block of allowedIps.map(parseBlock)) {
        if (block !== undefined) blocks.push({ block, endpoint: compiled });
      }
    } else if (host.includes('*')) {
      push(wildcards, domainOf(host), { glob: compileGlob(host, '.'), endpoint: compiled });
    } else {
      push(exact, host, compiled);
    }
  }
  return { exact, wildcards, blocks, keys: new Set(policy.networkPolicies.map(({ key }) => key)) };
}

function compileEndpoints(policy: Policy): CompiledEndpoint[] {
  const all = policy.networkPolicies.flatMap((network) => {
    const binaries = network.binaries.map(({ path }) => compileGlob(path, '/'));
    return network.endpoints.map((endpoint, index) => ({ network, binaries, endpoint, index }));
  });
  const ranked = all.toSorted((left, right) => hostWeight(right.endpoint.host) - hostWeight(left.endpoint.host));
  return ranked.map(({ network, binaries, endpoint, index }, rank) => {
    const at = ['network_policies', network.key, 'endpoints', index];
    const address = parseAddress(endpoint.host) === undefined ? [] : [hostBlock(endpoint.host)];
    return {
      endpoint,
      policy: network,
      rule: ruleAt(policy, at, network.name),
      ports: new Set(endpoint.ports),
      binaries,
      rest: compileRest(policy, endpoint, at, network.name),
      allowedIps: [...new Set([...endpoint.allowedIps, ...address])],
      rank,
    };
  });
}

function hostWeight(host: string): number {
  if (host === '') return -1;
  // `**` names less than `*` of the same length.
  return specificity(compileGlob(host, '.')) - (host.startsWith('**') ? 0.5 : 0);
}

function hostBlock(address: string): string {
  return address.includes(':') ? `${address}/128` : `${address}/32`;
}

function domainOf(host: string): string {
  return host.split('.').slice(-2).join('.');
}

function push<Value>(map: Map<string, Value[]>, key: string, value: Value): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

/** Endpoints whose host fits. A literal address fits only rules that name addresses, a name only rules that name names. */
export function endpointsForHost(index: NetworkIndex, written: string): readonly CompiledEndpoint[] {
  const address = canonicalAddress(written);
  if (address !== undefined) {
    const base = parseAddress(address) ?? 0n;
    const within = index.blocks.filter(({ block }) => overlaps(block, { base, prefix: 128 }));
    return [...(index.exact.get(address) ?? []), ...new Set(within.map(({ endpoint }) => endpoint))];
  }
  const host = normaliseHost(written);
  if (!isHostName(host)) return [];
  const wide = (index.wildcards.get(domainOf(host)) ?? []).filter(({ glob }) => glob.matches(host));
  return [...(index.exact.get(host) ?? []), ...wide.map(({ endpoint }) => endpoint)];
}

/** Why a connection falls under no endpoint. */
export type Refusal =
  | { readonly cause: 'unidentified' }
  | { readonly cause: 'host' }
  | { readonly cause: 'port'; readonly candidates: readonly CompiledEndpoint[] }
  | {
      readonly cause: 'binary' | 'writable' | 'hidden';
      readonly executable: string;
      readonly candidates: readonly CompiledEndpoint[];
    };

/** For each process behind a connection the endpoints it falls under. Refused: at least one falls under none. */
export interface Admission {
  readonly endpoints: readonly (readonly CompiledEndpoint[])[];
  readonly refusal?: Refusal;
}

export interface Destination {
  readonly subject: Subject;
  readonly host: string;
  readonly literal: boolean;
  readonly port: number;
}

export function admit(index: NetworkIndex, files: FileRules, destination: Destination): Admission {
  const { subject, host, literal, port } = destination;
  const processes = subject.processes ?? [];
  if (processes.length === 0) return { endpoints: [], refusal: { cause: 'unidentified' } };
  // A "literal" that is no address is a plane that contradicts itself: nothing fits it.
  const named = literal && canonicalAddress(host) === undefined ? [] : endpointsForHost(index, host);
  const candidates = named.filter(({ ports }) => ports.has(port));
  const endpoints = processes.map((process) => fittingEndpoints(process, files, candidates));
  const unidentified = processes.some(({ executable }) => executable === undefined);
  if (unidentified) return { endpoints, refusal: { cause: 'unidentified' } };
  const refused = processes[endpoints.findIndex((fitting) => fitting.length === 0)]?.executable;
  return refused === undefined ? { endpoints } : { endpoints, refusal: refuse(refused, files, named, candidates) };
}

function fittingEndpoints(
  process: ProcessRef,
  files: FileRules,
  candidates: readonly CompiledEndpoint[],
): readonly CompiledEndpoint[] {
  const identities = identitiesOf(process, files);
  return candidates.filter(({ binaries }) =>
    binaries.some((glob) => identities.some((identity) => glob.matches(identity))),
  );
}

/** The executables a process may act as: its own and its ancestors', where the sandbox could not have written them. */
function identitiesOf({ executable, ancestors }: ProcessRef, files: FileRules): string[] {
  if (executable === undefined) return [];
  return [executable, ...ancestors].filter((path) => hasIdentity(files, path));
}

/** A program is what its path says only if nothing in the sandbox could have put another there. */
export function hasIdentity(files: FileRules, executable: string): boolean {
  return findFileRule(files, executable)?.access === 'read';
}

function refuse(
  executable: string,
  files: FileRules,
  named: readonly CompiledEndpoint[],
  candidates: readonly CompiledEndpoint[],
): Refusal {
  if (named.length === 0) return { cause: 'host' };
  if (candidates.length === 0) return { cause: 'port', candidates: named };
  const access = findFileRule(files, executable)?.access;
  const cause = access === 'write' ? 'writable' : access === 'read' ? 'binary' : 'hidden';
  return { cause, executable, candidates };
}
