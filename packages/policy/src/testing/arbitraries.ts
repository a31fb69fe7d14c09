/** Random policies, and random actions that they have something to say about. */
import fc from 'fast-check';
import { canonicalAddress } from '../address.ts';
import { type CompiledPolicy, compile } from '../compile.ts';
import { parsePolicy } from '../parse.ts';
import type { Action, HttpRequest, NetConnect } from '../vocabulary.ts';

// Few values, so that rules and actions meet often.
const HOSTS = ['api.example.com', '*.example.com', '**.example.com', 'a.*.example.com', '10.0.0.5', ''];
const ASKED = [
  'api.example.com',
  'x.example.com',
  'a.b.example.com',
  'example.com',
  '10.0.0.5',
  '10.0.0.6',
  'evil.org',
];
const PROGRAMS = ['/usr/bin/curl', '/usr/bin/git', '/opt/node/bin/node', '/tmp/evil', '/hidden/x'];
const PATHS = ['/a', '/a/b', '/a/b/c', '/z'];
const METHODS = ['GET', 'HEAD', 'POST', 'DELETE'];

interface RawMatcher {
  method?: string;
  path?: string;
  query?: Record<string, string>;
}
interface RawEndpoint {
  host: string;
  ports: number[];
  allowed_ips: string[];
  protocol?: 'rest';
  enforcement?: string;
  access?: string;
  rules?: { allow: RawMatcher }[];
  deny_rules?: RawMatcher[];
}
export interface RawPolicy {
  version: 1;
  filesystem_policy: { read_only: string[]; read_write: string[] };
  network_policies: Record<string, { endpoints: RawEndpoint[]; binaries: { path: string }[] }>;
  tools: { default: string; rules: { tool: string; effect: string }[] };
}

export const matcher: fc.Arbitrary<RawMatcher> = fc.record(
  {
    method: fc.constantFrom('*', ...METHODS),
    path: fc.constantFrom('**', '/a/**', '/a/*', '/a', '/**/c'),
    query: fc.dictionary(fc.constantFrom('k', 'l'), fc.constantFrom('v*', 'w'), { minKeys: 1 }),
  },
  { requiredKeys: ['path'] },
);
const base = {
  host: fc.constantFrom(...HOSTS),
  ports: fc.uniqueArray(fc.constantFrom<number>(80, 443), { minLength: 1 }),
  allowed_ips: fc.constantFrom<string[]>(['10.0.0.0/30'], ['10.0.0.4/30', 'fd00::/8']),
};
const inspected = {
  ...base,
  protocol: fc.constant('rest' as const),
  enforcement: fc.constantFrom('enforce', 'audit'),
};
const denyRules = fc.array(matcher, { minLength: 1, maxLength: 3 });
const endpoint: fc.Arbitrary<RawEndpoint> = fc.oneof(
  fc.record(base),
  fc.record(
    { ...inspected, access: fc.constantFrom('read-only', 'read-write', 'full'), deny_rules: denyRules },
    { requiredKeys: ['host', 'ports', 'allowed_ips', 'protocol', 'access'] },
  ),
  fc.record(
    {
      ...inspected,
      rules: fc.array(fc.record({ allow: matcher }), { minLength: 1, maxLength: 3 }),
      deny_rules: denyRules,
    },
    { requiredKeys: ['host', 'ports', 'allowed_ips', 'protocol', 'rules'] },
  ),
);
const binary = fc.constantFrom('/usr/bin/curl', '/usr/bin/*', '/opt/**', '/**').map((path) => ({ path }));
export const policy: fc.Arbitrary<RawPolicy> = fc.record({
  version: fc.constant(1 as const),
  filesystem_policy: fc.constant({ read_only: ['/usr', '/opt'], read_write: ['/tmp'] }),
  network_policies: fc.dictionary(
    fc.constantFrom('p', 'q', 'r', 's'),
    fc.record({
      endpoints: fc.array(endpoint, { minLength: 1, maxLength: 3 }),
      binaries: fc.array(binary, { minLength: 1, maxLength: 2 }),
    }),
  ),
  tools: fc.record({
    default: fc.constantFrom('allow', 'deny', 'ask'),
    rules: fc.array(
      fc.record({
        tool: fc.constantFrom('read', 'write', 're*', '*', 'Exec'),
        effect: fc.constantFrom('allow', 'deny', 'ask'),
      }),
      { maxLength: 5 },
    ),
  }),
});

const program = fc.record({
  pid: fc.constant(2),
  executable: fc.constantFrom(...PROGRAMS),
  ancestors: fc.array(fc.constantFrom(...PROGRAMS), { maxLength: 2 }),
});
const subject = fc.record({ sandbox: fc.constant('s'), processes: fc.array(program, { maxLength: 2 }) });
const destination = {
  subject,
  host: fc.constantFrom(...ASKED),
  port: fc.constantFrom(80, 443, 22),
};
export const connection: fc.Arbitrary<NetConnect> = fc
  .record({ kind: fc.constant('net.connect' as const), ...destination })
  .map((action) => ({ ...action, literal: canonicalAddress(action.host) !== undefined }));
export const httpRequest: fc.Arbitrary<HttpRequest> = fc
  .record({
    kind: fc.constant('http.request' as const),
    ...destination,
    scheme: fc.constantFrom('http' as const, 'https' as const),
    method: fc.constantFrom(...METHODS),
    path: fc.constantFrom(...PATHS),
    query: fc.array(fc.tuple(fc.constantFrom('k', 'l'), fc.constantFrom('v', 'v2', 'w'))),
  })
  .map((action) => ({ ...action, literal: canonicalAddress(action.host) !== undefined }));
const toolCall: fc.Arbitrary<Action> = fc.constantFrom('read', 'READ', 'write', 'exec', 'other').map((tool) => ({
  kind: 'tool.call',
  subject: { sandbox: 's' },
  tool,
  callId: '1',
}));
const fileAction: fc.Arbitrary<Action> = fc
  .tuple(
    fc.constantFrom('/usr/x', '/tmp/x', '/home/u/x', '/usr', '/new'),
    fc.constantFrom('write' as const, 'create' as const, 'delete' as const),
  )
  .map(([path, operation]) => ({ kind: 'file.write', subject: { sandbox: 's' }, path, operation }));
export const action: fc.Arbitrary<Action> = fc.oneof(connection, httpRequest, toolCall, fileAction);

export function compiled(raw: RawPolicy): CompiledPolicy {
  return compile(parsePolicy(JSON.stringify(raw), 'f'), { workdir: '/project' });
}

/** Policies are costly to make and actions are not: each policy meets many. */
export function many<T>(one: fc.Arbitrary<T>): fc.Arbitrary<T[]> {
  return fc.array(one, { minLength: 1, maxLength: 40, size: 'max' });
}
