import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { planLaunch } from './compose.ts';
import { LaunchError } from './error.ts';
import { agentFor, idMap } from './ids.ts';
import { printablePlan, type StepName } from './plan.ts';
import type { KernelFacts } from './probe.ts';
import type { SandboxSpec } from './spec.ts';
import { fakeHost } from './testing/fake-host.ts';
import { testPolicy, testSpec } from './testing/fixture.ts';

const facts: KernelFacts = {
  arch: 'x64',
  release: '6.18',
  uid: 1000,
  gid: 1000,
  landlockAbi: 7,
  userNamespaces: true,
  privateMounts: true,
  freshProc: true,
  mountApi: true,
  overlay: true,
  pidMaxPerNamespace: true,
  seccompNotify: true,
  syncWakeUp: true,
  waitKillable: true,
  idmappedMounts: false,
  ipv6: true,
  interception: true,
  missing: [],
};
const host = fakeHost({
  '/usr': {},
  '/tmp': {},
  '/w': {},
  '/proc/sys/user/max_user_namespaces': { kind: 'other' },
  '/proc/kcore': { kind: 'other' },
  '/etc/ssl/certs/ca-certificates.crt': { kind: 'other', content: 'system' },
});
const spec = (more: Partial<SandboxSpec> = {}) =>
  testSpec('/w', ['tool', 'x'], { policy: testPolicy({ readOnly: ['/usr', '/etc'], readWrite: ['/tmp'] }), ...more });
const plan = (more: Partial<SandboxSpec> = {}, changed: Partial<KernelFacts> = {}) =>
  planLaunch(spec(more), { ...facts, ...changed }, host);
const refused = (action: () => unknown, message: RegExp) =>
  assert.throws(action, (error: unknown) => error instanceof LaunchError && message.test(error.message));

test('the order that the protections rely on', () => {
  const ops = plan().steps.map(({ op }) => op);
  const order: StepName[] = [
    'monitor',
    'enter',
    'netlink',
    'root',
    'pivot',
    'terminal',
    'spawn',
    'no_new_privileges',
    'capabilities',
    'landlock',
    'landlock_seal',
    'seccomp',
    'exec',
  ];
  const at = order.map((op) => ops.indexOf(op));
  assert.deepEqual(
    at,
    [...at].sort((a, b) => a - b),
  );
  assert.deepEqual(ops.slice(-3), ['seccomp', 'seccomp', 'exec']);
});

test('/proc/sys is closed after the last write to it, and before the root is', () => {
  const { steps } = plan();
  const lastWrite = steps.findLastIndex((step) => step.op === 'write' && step.path.startsWith('proc/sys'));
  const cover = steps.findIndex((step) => step.op === 'attach' && step.path === 'proc/sys');
  assert.ok(lastWrite !== -1 && lastWrite < cover);
  assert.ok(cover < steps.findIndex(({ op }) => op === 'pivot'));
});

test('the plan prints as JSON, without the bytes of files', () => {
  const text = JSON.stringify(
    printablePlan(plan({ files: [{ path: '/etc/x', content: 'hidden words', mode: 0o600 }] })),
  );
  assert.ok(text.includes('"op":"exec"'));
  assert.ok(!text.includes('hidden words'));
});

test('certificates: the supervisor’s bundle is used wherever programs look', () => {
  const path = '/etc/ssl/certs/ca-certificates.crt';
  const bundle = (more: Partial<SandboxSpec>) => {
    const { steps } = plan(more);
    const file = steps.find((step) => step.op === 'file' && step.path === path.slice(1));
    const links = steps.filter((step) => step.op === 'symlink' && step.target === path);
    return [file?.op === 'file' ? Buffer.from(file.bytes).toString() : '', links.length];
  };
  assert.deepEqual(bundle({}), ['', 0]);
  assert.deepEqual(bundle({ files: [{ path, content: 'ours', mode: 0o644 }] }), ['ours', 5]);
});

test('a program without a slash is looked for in the PATH inside', () => {
  const exec = plan({ env: { PATH: '/a:/b' } }).steps.at(-1);
  assert.ok(exec?.op === 'exec');
  assert.deepEqual(exec.candidates, ['/a/tool', '/b/tool']);
});

test('what is missing in the kernel is named with its fix', () => {
  const missing = [{ feature: 'user namespaces', fix: 'Allow them.', required: true }];
  refused(() => plan({}, { missing }), /user namespaces\n {2}Allow them/);
  refused(() => plan({}, { landlockAbi: 2 }), /Landlock ABI 2, the policy requires ABI 3/);
  const policy = testPolicy({ readOnly: ['/usr'], readWrite: [] }, { landlock: { compatibility: 'best_effort' } });
  assert.match(plan({ policy }, { landlockAbi: 0 }).warnings.join(), /no Landlock/);
  assert.deepEqual(plan({}, { missing: [{ feature: 'x', fix: 'y', required: false }] }).warnings, []);
});

test('a spec that contradicts itself is refused', () => {
  refused(() => plan({ command: [] }), /no command/);
  refused(() => plan({ cwd: '/nowhere' }), /working directory \/nowhere does not exist inside/);
  refused(() => plan({ hostname: 'a b' }), /not a host name/);
  refused(() => plan({ env: { 'A=B': 'x' } }), /not a variable name/);
  for (const path of ['/etc', '/usr/x', '/etc/../x', '/etc//x', 'etc/x']) {
    refused(() => plan({ files: [{ path, content: '', mode: 0o644 }] }), /must lie below \/etc/);
  }
});

test('whom the agent runs as', () => {
  const as = (uid: number, runAsUser?: string, runAsGroup?: string) => {
    const process = { ...(runAsUser ? { runAsUser } : {}), ...(runAsGroup ? { runAsGroup } : {}) };
    const { privileged: _, ...ids } = agentFor(spec({ policy: testPolicy({}, { process }) }), {
      ...facts,
      uid,
      gid: uid,
    });
    return ids;
  };
  assert.deepEqual(as(1000), { uid: 1000, gid: 1000 });
  assert.deepEqual(as(1000, 'sandbox', 'sandbox'), { uid: 1000, gid: 1000 });
  assert.deepEqual(as(1000, '1000'), { uid: 1000, gid: 1000 });
  refused(() => as(1000, '1001'), /takes root/);
  refused(() => as(1000, '1000', '5'), /takes root/);
  assert.deepEqual(as(0), { uid: 60999, gid: 60999 });
  assert.deepEqual(as(0, '1234'), { uid: 1234, gid: 1234 });
  assert.deepEqual(as(0, '1234', '5'), { uid: 1234, gid: 5 });
  for (const id of ['0', '-1', 'root', '4294967295', '1.5']) refused(() => as(0, id), /no id that an agent can have/);
});

test('as root without idmapped mounts a foreign workdir is refused', () => {
  refused(() => plan({}, { uid: 0, gid: 0 }), /no idmapped mounts/);
  assert.ok(plan({}, { uid: 0, gid: 0, idmappedMounts: true }).steps.some(({ op }) => op === 'idmap'));
});

test('an id map swaps two ids and leaves all others', () => {
  const id = fc.oneof(fc.nat(70_000), fc.constantFrom(0, 1, 0xfffffffe, 0xfffffffd));
  fc.assert(
    fc.property(id, id, id, (owner, agent, other) => {
      const rows = idMap(owner, agent)
        .split('\n')
        .map((line) => line.split(' ').map(Number));
      const map = (on: number) => {
        for (const [from = 0, to = 0, count = 0] of rows) if (on >= from && on < from + count) return to + on - from;
        return undefined;
      };
      assert.equal(map(owner), agent);
      assert.equal(map(agent), owner);
      if (other !== owner && other !== agent) assert.equal(map(other), other);
      assert.equal(
        rows.reduce((sum, [, , count = 0]) => sum + count, 0),
        0xffffffff,
      );
    }),
  );
});
