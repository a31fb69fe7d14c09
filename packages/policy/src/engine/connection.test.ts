import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compile } from '../compile.ts';
import { decide } from '../decide.ts';
import { connect, policyOf, runningAs, SYSTEM } from '../testing/actions.ts';
import type { Subject } from '../vocabulary.ts';

const policy = policyOf(`${SYSTEM}network_policies:
  wide:
    endpoints:
      - { host: "**.example.com", port: 443, tls: skip, allowed_ips: [10.9.0.0/16] }
    binaries: [{ path: /usr/bin/* }]
  exact:
    name: the API
    endpoints:
      - { host: api.example.com, ports: [443, 8443], protocol: rest, access: read-only, allowed_ips: [10.8.0.0/16] }
    binaries: [{ path: /usr/bin/curl }, { path: /usr/bin/git }, { path: /tmp/** }, { path: /hidden/tool }]
  raw:
    endpoints:
      - { host: db.example.org, port: 5432, tls: skip }
      - { host: 10.1.2.3, port: 5432 }
      - { host: "2001:db8::1", port: 443 }
      - { host: "", port: 9000, allowed_ips: [10.7.0.0/16, "fd00::/8"] }
    binaries: [{ path: /usr/bin/psql }]
`);

const psql = runningAs('/usr/bin/psql');

function decided(host: string, port = 443, subject?: Subject) {
  return decide(policy, connect(host, port, subject));
}

test('allowed: the most specific endpoint is named, obligations are of all', () => {
  const { effect, rule, obligations } = decided('api.example.com');
  assert.equal(effect, 'allow');
  assert.deepEqual(rule, { id: 'network_policies.exact.endpoints[0]', name: 'the API', line: 11 });
  assert.deepEqual(obligations, { inspect: 'rest', tls: 'terminate', allowedIps: ['10.8.0.0/16', '10.9.0.0/16'] });
  assert.deepEqual(decided('deep.api.example.com').obligations, { tls: 'skip', allowedIps: ['10.9.0.0/16'] });
  assert.deepEqual(decided('db.example.org', 5432, psql).obligations, { tls: 'skip', allowedIps: [] });
});

test('names are compared without case and final dot', () => {
  assert.equal(decided('API.Example.COM.').effect, 'allow');
  for (const host of [
    'example.com',
    'api.example.com.evil.org',
    'api.example.comx',
    'x..example.com',
    '.example.com',
    'a b.example.com',
    '',
  ]) {
    assert.equal(decided(host).effect, 'deny', host);
  }
});

test('of two wildcards of one length, the one that says less gives way', () => {
  const entry = (host: string) => `{ endpoints: [{ host: "${host}", port: 443 }], binaries: [{ path: "/**" }] }`;
  const both = policyOf(`${SYSTEM}network_policies:
  deep: ${entry('**.example.com')}
  flat: ${entry('*.example.com')}
`);
  assert.equal(decide(both, connect('a.example.com')).rule.name, 'flat');
  assert.equal(decide(both, connect('a.b.example.com')).rule.name, 'deep');
});

test('inspection outweighs tls: skip, also in a policy that no file could hold', () => {
  const { policy: source } = policy;
  const networkPolicies = source.networkPolicies.map((network) => ({
    ...network,
    endpoints: network.endpoints.map((endpoint) => ({ ...endpoint, tls: 'skip' as const })),
  }));
  const contradictory = compile({ ...source, networkPolicies }, { workdir: '/project' });
  assert.equal(decide(contradictory, connect('api.example.com')).obligations?.tls, 'terminate');
});

test('a literal address matches only rules that name addresses', () => {
  assert.equal(decided('10.1.2.3', 5432, psql).effect, 'allow');
  assert.deepEqual(decided('10.1.2.3', 5432, psql).obligations?.allowedIps, ['10.1.2.3/32']);
  assert.equal(decided('::ffff:10.1.2.3', 5432, psql).effect, 'allow');
  assert.deepEqual(decided('2001:DB8:0::1', 443, psql).obligations?.allowedIps, ['2001:db8::1/128']);
  assert.deepEqual(decided('10.7.1.1', 9000, psql).obligations?.allowedIps, ['10.7.0.0/16', 'fd00::/8']);
  assert.equal(decided('fd00::1', 9000, psql).effect, 'allow');
  for (const host of ['10.1.2.4', '10.9.1.1', '10.6.0.1']) {
    for (const port of [443, 5432, 9000]) assert.equal(decided(host, port, psql).effect, 'deny', host);
  }
  // A name says nothing about addresses: an endpoint of addresses alone does not match it.
  assert.equal(decided('db.example.net', 9000, psql).effect, 'deny');
});

test('the plane may call an address a name, or a name an address: neither opens anything', () => {
  const action = connect('api.example.com');
  assert.equal(decide(policy, { ...action, literal: true }).effect, 'deny');
  assert.equal(decide(policy, { ...connect('10.1.2.4', 5432, psql), literal: false }).effect, 'deny');
});

test('ancestors lend their identity', () => {
  assert.equal(
    decided('api.example.com', 8443, runningAs('/usr/lib/git-core/git-remote-https', '/usr/bin/git')).effect,
    'allow',
  );
  assert.equal(
    decided('api.example.com', 8443, runningAs('/usr/lib/git-core/git-remote-https', '/usr/bin/sh')).effect,
    'deny',
  );
});

test('a program that the sandbox could have written has no identity, listed or not', () => {
  const reasons = {
    '/tmp/curl': /can be written from inside/,
    '/sandbox/curl': /can be written from inside/,
    '/dev/shm/curl': /can be written from inside/,
    '/hidden/tool': /not in a path that the policy lists/,
    '/usr/../tmp/x': /not in a path that the policy lists/,
  };
  for (const [executable, reason] of Object.entries(reasons)) {
    const decision = decided('api.example.com', 8443, runningAs(executable));
    assert.equal(decision.effect, 'deny', executable);
    assert.match(decision.reason, reason);
    assert.equal(decision.allowWith, undefined);
    // Nor does it lend one.
    assert.equal(decided('api.example.com', 8443, runningAs('/usr/bin/sh', executable)).effect, 'deny', executable);
  }
});

test('every process behind a socket must be allowed', () => {
  const both = (...executables: string[]): Subject => ({
    sandbox: 'test',
    processes: executables.map((executable, index) => ({ pid: index + 2, executable, ancestors: [] })),
  });
  assert.equal(decided('api.example.com', 8443, both('/usr/bin/curl', '/usr/bin/git')).effect, 'allow');
  assert.equal(decided('api.example.com', 8443, both('/usr/bin/curl', '/usr/bin/sh')).effect, 'deny');
  assert.equal(decided('api.example.com', 8443, both('/usr/bin/sh', '/usr/bin/curl')).effect, 'deny');
  // On 443 sh comes under the wide entry only: what they share is what both may dial.
  const shared = decided('api.example.com', 443, both('/usr/bin/curl', '/usr/bin/sh'));
  assert.deepEqual(shared.obligations, { inspect: 'rest', tls: 'terminate', allowedIps: ['10.9.0.0/16'] });
});

test('an unknown process is never allowed', () => {
  const unknown: Subject[] = [
    { sandbox: 'test' },
    { sandbox: 'test', processes: [] },
    runningAs(undefined, '/usr/bin/curl'),
  ];
  for (const subject of unknown) {
    const decision = decided('api.example.com', 443, subject);
    assert.equal(decision.effect, 'deny');
    assert.equal(decision.reason, 'the process behind this connection could not be identified');
  }
});

test('a denial says which part did not fit', () => {
  const reasons: [string, number, Subject | undefined, RegExp][] = [
    ['evil.org', 443, undefined, /^no network policy names the host evil\.org$/],
    ['10.5.5.5', 443, undefined, /^10\.5\.5\.5 is a literal address, and no network policy names that address$/],
    ['db.example.org', 443, psql, /^network policy "raw" allows db\.example\.org only on port 5432, not 443$/],
    [
      'db.example.org',
      5432,
      undefined,
      /^network policy "raw" allows db\.example\.org:5432 only for \/usr\/bin\/psql, not for \/usr\/bin\/curl$/,
    ],
    ['a\nb', 443, undefined, /^no network policy names the host a\\u\{a\}b$/],
  ];
  for (const [host, port, subject, expected] of reasons) {
    const { effect, reason, rule, enforced } = decided(host, port, subject);
    assert.equal(effect, 'deny');
    assert.match(reason, expected);
    assert.equal(rule.id, 'default:network_policies');
    assert.equal(enforced, true);
  }
});

test('what would permit is the narrowest entry for this program', () => {
  assert.equal(
    decided('api.evil.org').allowWith,
    `network_policies:
  api_evil_org:
    endpoints:
      - host: api.evil.org
        port: 443
        protocol: rest
        access: read-only
    binaries:
      - path: /usr/bin/curl
`,
  );
  const taken = policyOf(`${SYSTEM}network_policies:
  api_evil_org: { endpoints: [{ host: x.org, port: 1 }], binaries: [{ path: /usr/bin/x }] }
`);
  assert.match(decide(taken, connect('api.evil.org')).allowWith ?? '', /^ {2}api_evil_org_2:$/m);
  assert.match(decided('10.5.5.5', 22).allowWith ?? '', /host: 10\.5\.5\.5\n +port: 22\n +binaries/);
  for (const host of ['127.0.0.1', '169.254.169.254', '::1', 'localhost', 'a\nb', '*.evil.org', '']) {
    assert.equal(decided(host).allowWith, undefined, host);
  }
  assert.equal(decided('evil.org', 0).allowWith, undefined);
  assert.equal(decided('evil.org', 443, runningAs('/usr/bin/*')).allowWith, undefined);
});
