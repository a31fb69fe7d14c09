import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decide } from '../decide.ts';
import { policyOf, request, runningAs, SYSTEM } from '../testing/actions.ts';
import { permits } from '../vocabulary.ts';

function withEndpoints(...endpoints: string[]) {
  const lines = endpoints.map((text) => `      - { host: a.example, port: 443, ${text} }`).join('\n');
  return policyOf(
    `${SYSTEM}network_policies:\n  api:\n    endpoints:\n${lines}\n    binaries: [{ path: /usr/bin/curl }]\n`,
  );
}

function effects(policy: ReturnType<typeof withEndpoints>, lines: readonly string[]): string {
  return lines.map((line) => decide(policy, request(line.replace(' ', ' a.example '))).effect).join(' ');
}

const METHODS = ['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE', 'PROPFIND'].map(
  (method) => `${method} /x`,
);

test('access presets', () => {
  assert.equal(
    effects(withEndpoints('protocol: rest, access: read-only'), METHODS),
    'allow allow allow deny deny deny deny deny',
  );
  assert.equal(
    effects(withEndpoints('protocol: rest, access: read-write'), METHODS),
    'allow allow allow allow allow allow deny deny',
  );
  assert.equal(
    effects(withEndpoints('protocol: rest, access: full'), METHODS),
    'allow allow allow allow allow allow allow allow',
  );
  assert.equal(effects(withEndpoints('tls: skip'), METHODS), 'allow allow allow allow allow allow allow allow');
});

const ruled = withEndpoints(
  'protocol: rest, rules: [{ allow: { method: GET, path: "/repos/**" } }, { allow: { method: GET, path: /repos/mine } }, { allow: { method: POST, path: "/repos/*/issues" } }], deny_rules: [{ path: "/repos/secret/**" }, { method: GET, path: /repos/secret/exact }]',
);

test('rules: method and path; HEAD rides on GET; deny outweighs', () => {
  assert.equal(
    effects(ruled, ['GET /repos/x', 'HEAD /repos/x', 'GET /repos', 'POST /repos/x', 'POST /repos/x/issues']),
    'allow allow deny deny allow',
  );
  assert.equal(
    effects(ruled, [
      'GET /repos/secret/x',
      'HEAD /repos/secret/exact',
      'GET /repos/secret',
      'GET /other',
      'get /repos/secret/x',
    ]),
    'deny deny allow deny deny',
  );
});

test('the most specific rule is named, with its line', () => {
  const id = (line: string) => decide(ruled, request(line)).rule.id.replace('network_policies.api.', '');
  assert.equal(id('GET a.example /repos/mine'), 'endpoints[0].rules[1]');
  assert.equal(id('GET a.example /repos/x'), 'endpoints[0].rules[0]');
  assert.equal(id('GET a.example /repos/secret/exact'), 'endpoints[0].deny_rules[1]');
  assert.equal(id('DELETE a.example /repos/x'), 'endpoints[0]');
  assert.equal(decide(ruled, request('GET a.example /repos/x')).rule.line, 6);
});

test('query: allow needs all values, deny fires on any, an absent key on neither', () => {
  const allow = withEndpoints(
    'protocol: rest, rules: [{ allow: { path: /x, query: { tag: "v1.*", kind: { any: [a, b] } } } }]',
  );
  const deny = withEndpoints('protocol: rest, access: full, deny_rules: [{ path: /x, query: { tag: "bad*" } }]');
  const effect = (policy: typeof allow, ...query: [string, string][]) =>
    decide(policy, request('GET a.example /x', query)).effect;
  assert.equal(effect(allow, ['tag', 'v1.2.3'], ['kind', 'b']), 'allow');
  assert.equal(effect(allow, ['tag', 'v1.2.3']), 'deny');
  assert.equal(effect(allow, ['tag', 'v1.2.3'], ['tag', 'v2'], ['kind', 'a']), 'deny');
  assert.equal(effect(allow, ['tag', 'v1.2'], ['tag', 'v1.3'], ['kind', 'a'], ['other', 'x']), 'allow');
  assert.equal(effect(allow, ['TAG', 'v1.2'], ['kind', 'a']), 'deny');
  assert.equal(effect(deny), 'allow');
  assert.equal(effect(deny, ['tag', 'good']), 'allow');
  assert.equal(effect(deny, ['tag', 'good'], ['tag', 'bad thing']), 'deny');
});

test('endpoints add up: any may allow, any may deny', () => {
  const policy = withEndpoints(
    'protocol: rest, access: read-only',
    'protocol: rest, rules: [{ allow: { method: POST, path: /submit } }], deny_rules: [{ path: /private }]',
  );
  assert.equal(effects(policy, ['GET /x', 'POST /submit', 'POST /x', 'GET /private']), 'allow allow deny deny');
  // An entry without inspection allows every request that no rule denies.
  const open = withEndpoints('tls: terminate', 'protocol: rest, access: read-only, deny_rules: [{ path: /private }]');
  assert.equal(effects(open, ['DELETE /x', 'DELETE /private']), 'allow deny');
});

test('a denial says what is allowed, and what would permit', () => {
  const readOnly = withEndpoints('protocol: rest, access: read-only');
  const denied = decide(readOnly, request('POST a.example /things', [['token', 'hunter2']]));
  assert.equal(
    denied.reason,
    'network policy "api" does not allow POST /things on a.example:443: allowed are GET, HEAD, OPTIONS',
  );
  assert.match(denied.allowWith ?? '', /- allow:\n +method: POST\n +path: \/things\n/);
  assert.ok(!JSON.stringify(denied).includes('hunter2'));
  const byRule = decide(ruled, request('GET a.example /repos/secret/x'));
  assert.match(byRule.reason, /denies GET \/repos\/secret\/x on a\.example:443 by its rule \* \/repos\/secret\/\*\*$/);
  assert.equal(byRule.allowWith, undefined);
  const listed = decide(ruled, request('DELETE a.example /x'));
  assert.match(listed.reason, /allowed are GET \/repos\/mine, POST \/repos\/\*\/issues, GET \/repos\/\*\*$/);
  for (const line of [
    'BREW a.example /x',
    'GET a.example /a*b',
    'GET a.example /{x}',
    `GET a.example /${'x'.repeat(9000)}`,
  ]) {
    assert.equal(decide(ruled, request(line)).allowWith, undefined, line);
  }
});

test('enforcement: audit records a denial and lets it pass, unless anything that enforces objects', () => {
  const audit = withEndpoints('protocol: rest, access: read-only, enforcement: audit');
  const recorded = decide(audit, request('POST a.example /x'));
  assert.deepEqual([recorded.effect, recorded.enforced, permits(recorded)], ['deny', false, true]);
  assert.match(recorded.reason, /recorded only/);
  const mixed = withEndpoints(
    'protocol: rest, access: read-only, enforcement: audit',
    'protocol: rest, access: read-only',
  );
  assert.equal(decide(mixed, request('POST a.example /x')).enforced, true);
  const auditDeny = withEndpoints(
    'protocol: rest, access: full, enforcement: audit, deny_rules: [{ path: /x }]',
    'protocol: rest, access: full, deny_rules: [{ path: /y }]',
  );
  assert.equal(decide(auditDeny, request('GET a.example /x')).enforced, false);
  const enforced = decide(auditDeny, request('GET a.example /y'));
  assert.deepEqual([enforced.enforced, enforced.rule.id], [true, 'network_policies.api.endpoints[1].deny_rules[0]']);
  // Audit is about requests: a host that is not listed stays closed.
  assert.equal(permits(decide(audit, request('GET b.example /x'))), false);
});

test('a request is bound to the host, port and program of its own', () => {
  const policy = withEndpoints('protocol: rest, access: full');
  assert.equal(decide(policy, request('GET a.example /x')).effect, 'allow');
  assert.equal(decide(policy, request('GET b.example /x')).effect, 'deny');
  assert.equal(decide(policy, { ...request('GET a.example /x'), port: 80 }).effect, 'deny');
  assert.equal(decide(policy, request('GET a.example /x', [], runningAs('/usr/bin/wget'))).effect, 'deny');
  const unlisted = decide(policy, request('GET b.example /x'));
  assert.match(
    unlisted.allowWith ?? '',
    /host: b\.example\n +port: 443\n +protocol: rest\n +rules:\n +- allow:\n +method: GET\n/,
  );
});

test('no rule is suggested for a second process where a rule denies the first', () => {
  const policy = withEndpoints('protocol: rest, access: full, deny_rules: [{ path: /private }]');
  const processes = ['/usr/bin/curl', '/usr/bin/wget'].map((executable, pid) => ({ pid, executable, ancestors: [] }));
  for (const order of [processes, processes.toReversed()]) {
    const subject = { sandbox: 'test', processes: order };
    assert.equal(decide(policy, request('GET a.example /private', [], subject)).allowWith, undefined);
    assert.match(decide(policy, request('GET a.example /x', [], subject)).allowWith ?? '', /path: \/usr\/bin\/wget/);
  }
});
