/** What must hold for every policy and every action. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parse } from 'yaml';
import { compile } from './compile.ts';
import { decide } from './decide.ts';
import { fileAccess } from './engine/filesystem.ts';
import { parsePolicy } from './parse.ts';
import { policyOf } from './testing/actions.ts';
import {
  action,
  compiled,
  connection,
  httpRequest,
  many,
  matcher,
  policy,
  type RawPolicy,
} from './testing/arbitraries.ts';
import { reference } from './testing/reference.ts';
import { type Action, permits } from './vocabulary.ts';

test('the engine agrees with the definition', () => {
  fc.assert(
    fc.property(policy, many(fc.oneof(connection, httpRequest)), (raw, actions) => {
      const rules = compiled(raw);
      for (const asked of actions) {
        const { effect, enforced } = decide(rules, asked);
        assert.deepEqual({ allowed: effect === 'allow', enforced }, reference(rules, asked));
      }
    }),
    { numRuns: 300 },
  );
});

test('order never matters', () => {
  const reversed = (raw: RawPolicy): RawPolicy => ({
    ...raw,
    network_policies: Object.fromEntries(
      Object.entries(raw.network_policies)
        .toReversed()
        .map(([key, { endpoints, binaries }]) => [
          key,
          {
            binaries: binaries.toReversed(),
            endpoints: endpoints.toReversed().map((entry) => ({
              ...entry,
              ...(entry.rules && { rules: entry.rules.toReversed() }),
              ...(entry.deny_rules && { deny_rules: entry.deny_rules.toReversed() }),
            })),
          },
        ]),
    ),
    tools: { ...raw.tools, rules: raw.tools.rules.toReversed() },
  });
  fc.assert(
    fc.property(policy, many(action), (raw, actions) => {
      const [forward, backward] = [compiled(raw), compiled(reversed(raw))];
      for (const asked of actions) {
        const left = decide(forward, asked);
        const right = decide(backward, asked);
        assert.deepEqual(
          [left.effect, left.enforced, left.obligations],
          [right.effect, right.enforced, right.obligations],
        );
      }
    }),
    { numRuns: 150 },
  );
});

const RANK = { deny: 0, ask: 1, allow: 2 };

test('a deny rule more never allows more', () => {
  fc.assert(
    fc.property(policy, matcher, fc.nat(), many(action), (raw, denied, at, actions) => {
      const stricter = structuredClone(raw);
      const inspectedEndpoints = Object.values(stricter.network_policies)
        .flatMap(({ endpoints }) => endpoints)
        .filter(({ protocol }) => protocol === 'rest');
      const target = inspectedEndpoints[at % Math.max(1, inspectedEndpoints.length)];
      if (target !== undefined) target.deny_rules = [...(target.deny_rules ?? []), denied];
      stricter.tools.rules.push({ tool: 're*', effect: 'deny' });
      const [loose, strict] = [compiled(raw), compiled(stricter)];
      for (const asked of actions) {
        const before = decide(loose, asked);
        const after = decide(strict, asked);
        assert.ok(RANK[after.effect] <= RANK[before.effect]);
        assert.ok(permits(before) || !permits(after));
      }
    }),
    { numRuns: 150 },
  );
});

test('deny overrides: a request that a deny rule of its endpoint matches is never allowed', () => {
  const all = policyOf(`filesystem_policy: { read_only: [/usr, /opt] }
network_policies:
  deny: { endpoints: [{ host: "**.example.com", ports: [80, 443], protocol: rest, access: full, deny_rules: [{ path: "/a/**" }] }], binaries: [{ path: "/**" }] }
  allow: { endpoints: [{ host: api.example.com, ports: [80, 443], protocol: rest, rules: [{ allow: { path: /a/b } }] }], binaries: [{ path: "/**" }] }
`);
  fc.assert(
    fc.property(httpRequest, (asked) => {
      if (asked.path.startsWith('/a/')) assert.equal(decide(all, asked).effect, 'deny');
    }),
  );
});

test('what a denial suggests does permit', () => {
  let suggested = 0;
  fc.assert(
    fc.property(policy, action, (raw, asked) => {
      const { effect, allowWith } = decide(compiled(raw), asked);
      if (allowWith === undefined) return;
      assert.notEqual(effect, 'allow');
      suggested += 1;
      const extra = parse(allowWith) as Partial<RawPolicy>;
      const merged: RawPolicy = {
        version: 1,
        filesystem_policy: {
          read_only: [...raw.filesystem_policy.read_only, ...(extra.filesystem_policy?.read_only ?? [])],
          read_write: [...raw.filesystem_policy.read_write, ...(extra.filesystem_policy?.read_write ?? [])],
        },
        network_policies: { ...raw.network_policies, ...extra.network_policies },
        tools: { ...raw.tools, rules: [...raw.tools.rules, ...(extra.tools?.rules ?? [])] },
      };
      const keys = Object.keys(raw.network_policies).length + Object.keys(extra.network_policies ?? {}).length;
      assert.equal(Object.keys(merged.network_policies).length, keys);
      assert.equal(decide(compiled(merged), asked).effect, 'allow');
    }),
    { numRuns: 400 },
  );
  assert.ok(suggested > 40);
});

test('total: no action makes it throw, and every decision is complete', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('__proto__', 'constructor', '::1', '/', '..', ''),
  );
  const anyProcess = fc.record(
    { pid: fc.integer(), executable: text, ancestors: fc.array(text) },
    { requiredKeys: ['pid', 'ancestors'] },
  );
  const fields = {
    subject: fc.record({ sandbox: text, processes: fc.array(anyProcess) }, { requiredKeys: ['sandbox'] }),
    path: text,
    target: text,
    name: text,
    type: text,
    host: text,
    address: text,
    protocol: text,
    method: text,
    tool: text,
    callId: text,
    scheme: text,
    literal: fc.boolean(),
    port: fc.oneof(fc.integer(), fc.double()),
    query: fc.array(fc.tuple(text, text)),
    argv: fc.array(text),
    operation: fc.constantFrom('create', 'rename', 'link', 'chmod'),
  };
  const [raw] = fc.sample(
    policy.filter(({ network_policies: some }) => Object.keys(some).length > 2),
    1,
  );
  assert.ok(raw);
  const rules = compiled(raw);
  const kinds = [
    'process.exec',
    'file.read',
    'file.write',
    'dns.query',
    'net.connect',
    'net.datagram',
    'http.request',
    'inference.request',
    'tool.call',
    'unknown',
  ];
  fc.assert(
    fc.property(fc.constantFrom(...kinds), fc.record(fields), (kind, rest) => {
      const decision = decide(rules, { kind, ...rest } as unknown as Action);
      assert.ok(decision.effect in RANK && decision.reason.length > 0 && decision.rule.id.length > 0);
      assert.ok(decision.reason.length < 2500 && !/\p{Cc}/u.test(decision.reason));
      assert.equal(decision.obligations !== undefined, kind === 'net.connect' && decision.effect === 'allow');
    }),
    { numRuns: 2000 },
  );
});

test('the empty policy allows names, the model and tools, and nothing else', () => {
  const empty = policyOf('');
  fc.assert(
    fc.property(fc.oneof(connection, httpRequest), (asked) => {
      assert.equal(decide(empty, asked).effect, 'deny');
    }),
  );
  const subjectOnly = { subject: { sandbox: 's' } };
  const rest: [Action, string][] = [
    [{ kind: 'process.exec', ...subjectOnly, path: '/usr/bin/true', argv: [] }, 'deny'],
    [{ kind: 'file.read', ...subjectOnly, path: '/etc/passwd' }, 'deny'],
    [{ kind: 'file.write', ...subjectOnly, path: '/etc/passwd', operation: 'write' }, 'deny'],
    [{ kind: 'net.datagram', ...subjectOnly, address: '8.8.8.8', port: 53, protocol: 'udp' }, 'deny'],
    [{ kind: 'dns.query', ...subjectOnly, name: 'any.example', type: 'A' }, 'allow'],
    [{ kind: 'dns.query', ...subjectOnly, name: 'any.example', type: 'AAAA' }, 'allow'],
    [{ kind: 'dns.query', ...subjectOnly, name: 'any.example', type: 'TXT' }, 'deny'],
    [{ kind: 'dns.query', ...subjectOnly, name: 'bad name', type: 'A' }, 'deny'],
    [
      {
        kind: 'inference.request',
        ...subjectOnly,
        provider: 'p',
        model: 'm',
        requestedModel: 'r',
        streaming: true,
        tools: [],
      },
      'allow',
    ],
    [{ kind: 'tool.call', ...subjectOnly, tool: 'x', callId: '1' }, 'allow'],
  ];
  for (const [asked, effect] of rest) assert.equal(decide(empty, asked).effect, effect, JSON.stringify(asked));
});

test('compiling refuses a working directory that would open everything', () => {
  const parsed = parsePolicy('version: 1\nfilesystem_policy: { include_workdir: true }\n', 'f');
  for (const workdir of ['/', '', 'work', '/project/', '/project/../etc', '//', '/a\0']) {
    assert.throws(() => compile(parsed, { workdir }), RangeError, workdir);
  }
  assert.equal(fileAccess(compile(parsed, { workdir: '/project' }), '/project/x'), 'write');
});
