import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { limits } from './limits.ts';
import { parsePolicy } from './parse.ts';
import { PolicyError } from './problems.ts';
import { problemsOf, readRepositoryFile } from './testing/actions.ts';

test('every default is the safe one', () => {
  const { source, ...policy } = parsePolicy('version: 1\n', 'p.yaml');
  assert.deepEqual(policy, {
    version: 1,
    filesystem: { includeWorkdir: false, readOnly: [], readWrite: [] },
    landlock: { compatibility: 'hard_requirement' },
    process: {},
    networkPolicies: [],
    tools: { default: 'allow', rules: [] },
  });
  assert.equal(source.file, 'p.yaml');
  assert.equal(source.digest, createHash('sha256').update('version: 1\n').digest('hex'));
});

test('a full policy, normalised', () => {
  const text = `version: 1
filesystem_policy: { include_workdir: true, read_only: [/usr/, //lib/./x], read_write: [/tmp] }
landlock: { compatibility: best_effort }
process: { run_as_user: 1000, run_as_group: sandbox }
network_policies:
  api:
    endpoints:
      - host: API.Example.com.
        port: 443
        protocol: rest
        enforcement: audit
        rules:
          - allow: { method: get, path: /v1/**, query: { tag: { any: [a, b*] } } }
        deny_rules:
          - { path: /v1/admin/** }
      - { host: "*.example.org", ports: [80, 8080], tls: skip }
      - { host: "", port: 5432, allowed_ips: ["10.1.2.3", "::ffff:10.2.0.0/112"] }
    binaries: [{ path: /usr/bin/curl }]
tools:
  rules: [{ tool: exec, effect: ask, reason: careful }]
`;
  const { networkPolicies, source, ...rest } = parsePolicy(text, 'p.yaml');
  assert.deepEqual(rest, {
    version: 1,
    filesystem: { includeWorkdir: true, readOnly: ['/usr', '/lib/x'], readWrite: ['/tmp'] },
    landlock: { compatibility: 'best_effort' },
    process: { runAsUser: '1000', runAsGroup: 'sandbox' },
    tools: { default: 'deny', rules: [{ tool: 'exec', effect: 'ask', reason: 'careful' }] },
  });
  const common = { tls: 'terminate', enforcement: 'enforce', denyRules: [], allowedIps: [] };
  assert.deepEqual(networkPolicies, [
    {
      key: 'api',
      name: 'api',
      binaries: [{ path: '/usr/bin/curl' }],
      endpoints: [
        {
          ...common,
          host: 'api.example.com',
          ports: [443],
          protocol: 'rest',
          enforcement: 'audit',
          rules: [{ allow: { method: 'GET', path: '/v1/**', query: { tag: { any: ['a', 'b*'] } } } }],
          denyRules: [{ method: '*', path: '/v1/admin/**', query: {} }],
        },
        { ...common, host: '*.example.org', ports: [80, 8080], tls: 'skip' },
        { ...common, host: '', ports: [5432], allowedIps: ['10.1.2.3/32', '10.2.0.0/16'] },
      ],
    },
  ]);
  assert.equal(source.lines.get('network_policies.api.endpoints[0].rules[0]'), 13);
  assert.equal(source.lines.get('tools.rules[0]'), 20);
});

test('all problems are told at once, in file order', () => {
  const text = `version: 3
filesystem_policy:
  read_only: [usr]
  read_rite: []
network_policies:
  p:
    endpoints:
      - { host: "*", port: 443 }
      - { host: a.example, port: "1" }
`;
  assert.deepEqual(
    problemsOf(text).map(({ line }) => line),
    [1, 3, 4, 6, 8, 9],
  );
});

test('a file with a thousand problems names a hundred', () => {
  const keys = Array.from({ length: 1000 }, (_, index) => `unknown${index}: 1`).join('\n');
  const problems = problemsOf(`version: 1\n${keys}`);
  assert.equal(problems.length, limits.problems + 1);
  assert.equal(problems.at(-1)?.message, 'and 900 more problems');
});

test('the error prints as file:line:column, suggestion below', () => {
  assert.throws(
    () => parsePolicy('version: 1\ntols: {}\n', 'my.yaml'),
    (error) => {
      assert.ok(error instanceof PolicyError);
      assert.equal(error.message, 'my.yaml:2:1: unknown key `tols`\n  did you mean `tools`?');
      return true;
    },
  );
});

test('any text gives a policy or a PolicyError', () => {
  const json = fc.json({ maxDepth: 4 }).map((text) => text);
  const keyed = fc
    .dictionary(
      fc.constantFrom(
        'version',
        'tools',
        'filesystem_policy',
        'landlock',
        'process',
        'network_policies',
        'toString',
        'x',
      ),
      fc.jsonValue(),
    )
    .map((value) => JSON.stringify({ version: 1, ...value }));
  fc.assert(
    fc.property(fc.oneof(json, keyed, fc.string({ unit: 'binary' })), (text) => {
      for (const problem of problemsOf(text)) {
        assert.ok(problem.line >= 1 && problem.column >= 1 && problem.message.length > 0);
        assert.ok(!/\p{Cc}/u.test(problem.message + (problem.suggestion ?? '')), JSON.stringify(problem));
      }
    }),
    { numRuns: 500 },
  );
});

test('a hostile endpoint never becomes a policy by mutation of one value', () => {
  const value = fc.oneof(fc.jsonValue(), fc.constantFrom('rest', 'skip', 'audit', 443, '*', []));
  const key = fc.constantFrom(
    'host',
    'port',
    'ports',
    'protocol',
    'tls',
    'enforcement',
    'access',
    'rules',
    'deny_rules',
    'allowed_ips',
  );
  fc.assert(
    fc.property(fc.dictionary(key, value, { minKeys: 2 }), (mutation) => {
      const text = JSON.stringify({
        version: 1,
        network_policies: { p: { endpoints: [mutation], binaries: [{ path: '/a' }] } },
      });
      if (problemsOf(text).length > 0) return;
      const [endpoint] = parsePolicy(text, 'f').networkPolicies[0]?.endpoints ?? [];
      assert.ok(endpoint !== undefined && endpoint.ports.length > 0);
      assert.ok(endpoint.host !== '' || endpoint.allowedIps.length > 0);
      assert.equal(endpoint.protocol === 'rest', (endpoint.access === undefined) !== (endpoint.rules === undefined));
    }),
    { numRuns: 1000 },
  );
});

for (const name of ['restricted', 'openclaw']) {
  test(`policies/${name}.yaml is a policy`, () => {
    const policy = parsePolicy(readRepositoryFile(`policies/${name}.yaml`), name);
    assert.equal(policy.landlock.compatibility, 'hard_requirement');
    assert.equal(policy.filesystem.includeWorkdir, true);
  });
}
