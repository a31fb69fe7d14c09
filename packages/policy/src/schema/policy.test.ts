/** What the schema refuses, where it says so, and what it suggests. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { limits } from '../limits.ts';
import { formatProblems } from '../problems.ts';
import { problemsOf } from '../testing/actions.ts';

/** One endpoint in an otherwise good policy; the endpoint stands on line 5, from column 9. */
function endpoint(text: string): string {
  return `version: 1\nnetwork_policies:\n  p:\n    endpoints:\n      - ${text}\n    binaries: [{ path: /usr/bin/curl }]\n`;
}

const rest = 'host: a.example, port: 443, protocol: rest';

const REFUSED: readonly [name: string, text: string, expected: RegExp][] = [
  ['no version', 'tools: {}', /1:1: `version` is missing\n {2}write `version: 1`/],
  ['another version', 'version: 2', /1:10: .*not a version/],
  ['text as version', 'version: "1"', /1:10: .*not a version/],
  ['a list as policy', '- version: 1', /1:1: this must be a mapping, but is a list/],
  ['empty section', 'version: 1\nnetwork_policies:\n', /2:\d+: `network_policies` must be a mapping, but is empty/],
  ['unknown section', 'version: 1\nfilesystem: {}', /2:1: unknown key `filesystem`\n {2}did you mean|known keys/],
  [
    'unknown nested key',
    'version: 1\nfilesystem_policy: {readonly: []}',
    /2:21: unknown key `readonly`\n {2}did you mean `read_only`/,
  ],
  ['relative path', 'version: 1\nfilesystem_policy: {read_only: [usr]}', /2:33: a path must be absolute/],
  ['home path', 'version: 1\nfilesystem_policy: {read_only: [~/x]}', /`~` is not expanded/],
  ['dot-dot', 'version: 1\nfilesystem_policy: {read_only: [/a/../b]}', /cannot contain `\.\.`/],
  ['glob as path', 'version: 1\nfilesystem_policy: {read_only: [/a/*]}', /literal, not a glob/],
  ['control character', 'version: 1\nfilesystem_policy: {read_only: ["/a\\nb"]}', /control characters/],
  ['NUL', 'version: 1\nfilesystem_policy: {read_only: ["/a\\0b"]}', /control characters/],
  ['long path', `version: 1\nfilesystem_policy: {read_only: [/${'a'.repeat(limits.pathLength)}]}`, /longer than 4096/],
  ['writable root', 'version: 1\nfilesystem_policy: {read_write: [///]}', /2:34: `\/` cannot be writable/],
  ['writable proc', 'version: 1\nfilesystem_policy: {read_write: [/proc/sys]}', /belongs to the sandbox/],
  ['writable dev', 'version: 1\nfilesystem_policy: {read_write: [/dev]}', /list single devices/],
  [
    'path twice',
    'version: 1\nfilesystem_policy: {read_only: [/a], read_write: [/b, /a/]}',
    /2:55: this path is also in `read_only`/,
  ],
  [
    'too many paths',
    `version: 1\nfilesystem_policy: {read_only: [${Array.from({ length: 257 }, (_, i) => `/p${i}`)}]}`,
    /more than 256 paths/,
  ],
  [
    'landlock value',
    'version: 1\nlandlock: {compatibility: hard}',
    /`hard` is not one of hard_requirement, best_effort/,
  ],
  [
    'root user',
    'version: 1\nprocess: {run_as_user: 0}',
    /neither `sandbox` nor a number.*\n {2}the agent never runs as root/,
  ],
  ['overflow user', 'version: 1\nprocess: {run_as_group: 4294967295}', /neither `sandbox` nor a number/],
  ['named user', 'version: 1\nprocess: {run_as_user: www-data}', /neither `sandbox` nor a number/],
  [
    'policy key',
    'version: 1\nnetwork_policies: {"a b": {endpoints: [{host: a.example, port: 1}], binaries: [{path: /a}]}}',
    /2:20: `a b` cannot name/,
  ],
  [
    'no binaries',
    'version: 1\nnetwork_policies:\n  p: {endpoints: [{host: a.example, port: 1}]}',
    /3:3: .*matches no process\n {2}add `binaries/,
  ],
  [
    'empty binaries',
    'version: 1\nnetwork_policies:\n  p: {endpoints: [{host: a.example, port: 1}], binaries: []}',
    /3:48: .*matches no process/,
  ],
  [
    'no endpoints',
    'version: 1\nnetwork_policies:\n  p: {endpoints: [], binaries: [{path: /a}]}',
    /`endpoints` cannot be an empty list/,
  ],
  [
    'relative binary',
    'version: 1\nnetwork_policies:\n  p: {endpoints: [{host: a.example, port: 1}], binaries: [{path: curl}]}',
    /must be absolute/,
  ],
  [
    'unresolved binary',
    'version: 1\nnetwork_policies:\n  p: {endpoints: [{host: a.example, port: 1}], binaries: [{path: /usr/../bin/curl}]}',
    /is resolved/,
  ],
  [
    'harness',
    'version: 1\nnetwork_policies:\n  p: {endpoints: [{host: a.example, port: 1}], binaries: [{path: /a, harness: true}]}',
    /`harness` is not supported yet/,
  ],
  ['no host', endpoint('{port: 1}'), /5:9: an endpoint needs a host/],
  ['wide host', endpoint('{host: "*", port: 1}'), /5:16: a wildcard needs at least two literal labels/],
  ['no port', endpoint('{host: a.example}'), /needs a port/],
  ['port and ports', endpoint('{host: a.example, port: 1, ports: [2]}'), /exclude each other/],
  ['empty ports', endpoint('{host: a.example, ports: []}'), /`ports` cannot be an empty list/],
  ['port zero', endpoint('{host: a.example, port: 0}'), /at least 1/],
  ['port too high', endpoint('{host: a.example, port: 65536}'), /at most 65535/],
  [
    'port as text',
    endpoint('{host: a.example, port: "443"}'),
    /5:33: `port` must be a number, but is text\n {2}remove the quotes/,
  ],
  ['port with fraction', endpoint('{host: a.example, port: 1.5}'), /`port` must be a whole number/],
  ['port twice', endpoint('{host: a.example, ports: [1, 1]}'), /port 1 is listed twice/],
  ['unsupported protocol', endpoint('{host: a.example, port: 1, protocol: graphql}'), /`graphql` is not supported yet/],
  [
    'unknown protocol',
    endpoint('{host: a.example, port: 1, protocol: REST}'),
    /`REST` is not one of rest\n {2}did you mean `rest`/,
  ],
  [
    'access without protocol',
    endpoint('{host: a.example, port: 1, access: full}'),
    /5:36: `access` has no effect without a protocol\n {2}add `protocol: rest`/,
  ],
  [
    'rules without protocol',
    endpoint('{host: a.example, port: 1, rules: [{allow: {method: GET}}]}'),
    /`rules` has no effect without/,
  ],
  [
    'deny_rules without protocol',
    endpoint('{host: a.example, port: 1, deny_rules: [{method: GET}]}'),
    /`deny_rules` has no effect without/,
  ],
  [
    'audit without protocol',
    endpoint('{host: a.example, port: 1, enforcement: audit}'),
    /`enforcement: audit` has no effect/,
  ],
  ['rest without access', endpoint(`{${rest}}`), /needs either `access` or `rules`/],
  [
    'access and rules',
    endpoint(`{${rest}, access: full, rules: [{allow: {method: GET}}]}`),
    /`access` and `rules` exclude/,
  ],
  ['rest with skip', endpoint(`{${rest}, access: full, tls: skip}`), /cannot be inspected/],
  [
    'tls value',
    endpoint('{host: a.example, port: 1, tls: passthrough}'),
    /`passthrough` is not one of terminate, skip\n {2}write `skip`/,
  ],
  ['enforcement value', endpoint(`{${rest}, access: full, enforcement: enforced}`), /did you mean `enforce`/],
  ['access value', endpoint(`{${rest}, access: readonly}`), /did you mean `read-only`/],
  ['empty rules', endpoint(`{${rest}, rules: []}`), /`rules` cannot be an empty list/],
  ['empty deny rules', endpoint(`{${rest}, access: full, deny_rules: []}`), /`deny_rules` cannot be an empty list/],
  ['rule that says nothing', endpoint(`{${rest}, rules: [{allow: {}}]}`), /says nothing/],
  [
    'rule of another protocol',
    endpoint(`{${rest}, rules: [{allow: {method: GET, operation_type: query}}]}`),
    /`operation_type` is not supported yet/,
  ],
  [
    'allow in a deny rule',
    endpoint(`{${rest}, access: full, deny_rules: [{allow: {method: GET}}]}`),
    /unknown key `allow`/,
  ],
  [
    'method',
    endpoint(`{${rest}, rules: [{allow: {method: GETT}}]}`),
    /`GETT` is not an HTTP method\n {2}did you mean `GET`/,
  ],
  ['path', endpoint(`{${rest}, rules: [{allow: {path: v1/*}}]}`), /a request path begins with `\/`/],
  [
    'path with a query',
    endpoint(`{${rest}, rules: [{allow: {path: "/a?b=c"}}]}`),
    /`\?` is not part of the glob language/,
  ],
  [
    'alternatives',
    endpoint(`{${rest}, access: full, deny_rules: [{path: "/{a,b}/**"}]}`),
    /`\{` is not part of the glob language/,
  ],
  [
    'query value',
    endpoint(`{${rest}, rules: [{allow: {query: {a: 1}}}]}`),
    /`a` must be text, but is a number\n {2}put it in quotes/,
  ],
  ['query any', endpoint(`{${rest}, rules: [{allow: {query: {a: {any: []}}}}]}`), /`any` cannot be an empty list/],
  [
    'loopback in allowed_ips',
    endpoint('{host: a.example, port: 1, allowed_ips: [10.0.0.0/8, 127.0.0.1]}'),
    /holds loopback addresses/,
  ],
  [
    'everything in allowed_ips',
    endpoint('{host: a.example, port: 1, allowed_ips: ["::/0"]}'),
    /holds loopback addresses/,
  ],
  [
    'host bits in allowed_ips',
    endpoint('{host: a.example, port: 1, allowed_ips: [10.1.2.3/8]}'),
    /write `10.0.0.0\/8`/,
  ],
  [
    'name in allowed_ips',
    endpoint('{host: a.example, port: 1, allowed_ips: [b.example]}'),
    /neither an IP address nor a CIDR/,
  ],
  ['tool effect', 'version: 1\ntools: {rules: [{tool: x, effect: block}]}', /`block` is not one of allow, deny, ask/],
  ['tool without effect', 'version: 1\ntools: {rules: [{tool: x}]}', /`effect` is missing/],
  ['tool glob', 'version: 1\ntools: {rules: [{tool: "[x]", effect: deny}]}', /not part of the glob language/],
  [
    'long reason',
    `version: 1\ntools: {rules: [{tool: x, effect: deny, reason: ${'r'.repeat(limits.reasonLength + 1)}}]}`,
    /longer than 512/,
  ],
];

for (const [name, text, expected] of REFUSED) {
  test(`refused: ${name}`, () => assert.match(formatProblems(problemsOf(text)), expected));
}

test('keys of upstream and of later versions are refused by name, each in its place', () => {
  const sections = ['network_middlewares', 'resources', 'audit', 'extends', 'inference', 'budgets'];
  const keys = `path allow_encoded_slash websocket_credential_rewrite request_body_credential_rewrite
    allow_uninspected_credentials credential_signing signing_service signing_region credential_binding
    persisted_queries graphql_persisted_queries graphql_max_body_bytes json_rpc mcp`.split(/\s+/);
  const fields = ['operation_type', 'operation_name', 'fields', 'tool', 'params', 'command'];
  const texts = new Map([
    ...sections.map((key) => [key, `version: 1\n${key}: {}\n`] as const),
    ...keys.map((key) => [key, endpoint(`{host: a.example, port: 1, ${key}: {}}`)] as const),
    ...fields.map((key) => [key, endpoint(`{${rest}, rules: [{allow: {method: GET, ${key}: x}}]}`)] as const),
  ]);
  for (const [key, text] of texts)
    assert.deepEqual(
      problemsOf(text).map(({ message }) => message),
      [`\`${key}\` is not supported yet`],
    );
  for (const protocol of ['tcp', 'websocket', 'graphql', 'mcp', 'json-rpc', 'sql']) {
    const [problem, ...others] = problemsOf(endpoint(`{host: a.example, port: 1, protocol: ${protocol}}`));
    assert.equal(problem?.message, `\`${protocol}\` is not supported yet`);
    assert.deepEqual(others, []);
  }
});
