/** The network rules once more, as the tests' oracle. */
import { canonicalAddress } from '../address.ts';
import type { CompiledPolicy } from '../compile.ts';
import { fileAccess } from '../engine/filesystem.ts';
import { compileGlob } from '../glob.ts';
import type { HttpRequest, NetConnect } from '../vocabulary.ts';

/** The rules in the words of their definition: no index, no order, no explanation. */
export function reference(
  rules: CompiledPolicy,
  asked: NetConnect | HttpRequest,
): { allowed: boolean; enforced: boolean } {
  const { policy: source } = rules;
  const address = canonicalAddress(asked.host);
  const entries = source.networkPolicies.flatMap(({ endpoints, binaries }) =>
    endpoints.map((entry) => ({ entry, binaries })),
  );
  const fits = ({ entry, binaries }: (typeof entries)[number], names: readonly string[]) =>
    entry.ports.includes(asked.port) &&
    (entry.host === ''
      ? inBlocks(address, entry.allowedIps)
      : compileGlob(entry.host, '.').matches(address ?? asked.host)) &&
    binaries.some(({ path }) => names.some((name) => compileGlob(path, '/').matches(name)));
  const perProcess = (asked.subject.processes ?? []).map(({ executable = '', ancestors }) => {
    const names = [executable, ...ancestors].filter((path) => fileAccess(rules, path) === 'read');
    return entries.filter((candidate) => fits(candidate, names)).map(({ entry }) => entry);
  });
  if (perProcess.length === 0 || perProcess.some((list) => list.length === 0))
    return { allowed: false, enforced: true };
  if (asked.kind === 'net.connect') return { allowed: true, enforced: true };
  const objecting = perProcess.flatMap((list) => {
    const denying = list.filter((entry) => entry.denyRules.some((rule) => matches(rule, asked, 'deny')));
    return list.some((entry) => allows(entry, asked)) ? denying : list;
  });
  return {
    allowed: objecting.length === 0,
    enforced: objecting.length === 0 || objecting.some((entry) => entry.enforcement === 'enforce'),
  };
}

type Entry = CompiledPolicy['policy']['networkPolicies'][number]['endpoints'][number];

function allows(entry: Entry, asked: HttpRequest): boolean {
  if (entry.protocol === undefined || entry.access === 'full') return true;
  const methods =
    entry.access === 'read-only' ? ['GET', 'HEAD', 'OPTIONS'] : ['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH'];
  if (entry.access !== undefined) return methods.includes(asked.method);
  return (entry.rules ?? []).some(({ allow }) => matches(allow, asked, 'allow'));
}

function matches(rule: Entry['denyRules'][number], asked: HttpRequest, side: 'allow' | 'deny'): boolean {
  const methods = rule.method === 'GET' ? ['GET', 'HEAD'] : [rule.method];
  if (rule.method !== '*' && !methods.includes(asked.method)) return false;
  if (!compileGlob(rule.path, '/').matches(asked.path)) return false;
  return Object.entries(rule.query).every(([key, glob]) => {
    const values = asked.query
      .filter(([name]) => name === key)
      .map(([, value]) => compileGlob(String(glob), '').matches(value));
    return side === 'deny' ? values.includes(true) : values.length > 0 && !values.includes(false);
  });
}

/** Only for the blocks used above. */
function inBlocks(address: string | undefined, blocks: readonly string[]): boolean {
  return (address === '10.0.0.5' || address === '10.0.0.6') && blocks.includes('10.0.0.4/30');
}
