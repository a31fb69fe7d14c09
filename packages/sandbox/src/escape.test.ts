import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { planLaunch } from './compose.ts';
import { PID_MAX } from './filesystem.ts';
import { MOUNT, type Step } from './plan.ts';
import {
  buildProgram,
  compose,
  facts,
  isRoot,
  noAllowList,
  noLandlock,
  noNamespaceLimits,
  type RunOptions,
  run,
  runPlan,
  SYSTEM_PATHS,
  scratch,
  testPolicy,
  testSpec,
  without,
} from './testing/fixture.ts';

/**
 * Every way out that a sandbox must close, tried from inside; and for each the control: the same attempt with that
 * protection taken away works, so that the test can fail.
 */

const top = scratch();
const work = join(top, 'work');
const locked = join(top, 'locked');
const guarded = join(work, 'a', 'guarded');
const secret = join(top, 'secret');
let attacks = '';

before(() => {
  chmodSync(top, 0o755);
  for (const path of [work, locked, join(work, 'a'), guarded]) mkdirSync(path);
  for (const directory of [locked, guarded]) {
    // Open to everybody, so that ownership is not what refuses.
    chmodSync(directory, 0o777);
    for (const name of ['file', 'other']) {
      writeFileSync(join(directory, name), 'original');
      chmodSync(join(directory, name), 0o666);
    }
  }
  writeFileSync(secret, 'secret');
  symlinkSync(join(guarded, 'file'), join(work, 'link'));
  attacks = buildProgram('attacks', work);
});

const policy = () => testPolicy({ readOnly: ['/usr', '/bin', '/lib', '/lib64', '/etc', '/proc', locked, guarded] });
const attackSpec = (...list: readonly string[]) =>
  testSpec(work, [attacks, ...list.flatMap((attack) => [...attack.split(' '), ',']).slice(0, -1)], {
    policy: policy(),
  });

/** What each attack met: `ok` when it worked. */
function outcomes(text: string): Record<string, string> {
  return Object.fromEntries(
    text
      .trim()
      .split('\n')
      .map((line) => line.split('\t'))
      .map(([attack, outcome]) => [attack ?? '', outcome ?? '']),
  );
}

async function inside(list: readonly string[], options: RunOptions = {}): Promise<Record<string, string>> {
  const result = await run(attackSpec(...list), options);
  assert.equal(result.code, 0, result.stderr);
  return outcomes(result.stdout);
}

const outside = (list: readonly string[]) =>
  outcomes(
    execFileSync(attacks, list.flatMap((attack) => [...attack.split(' '), ',']).slice(0, -1), { encoding: 'utf8' }),
  );

const expectAll = (list: readonly string[], outcome: string) => Object.fromEntries(list.map((name) => [name, outcome]));

const SYSTEM_CALLS = [
  'user_namespace',
  'clone_namespace',
  'mount',
  'new_mount',
  'unmount',
  'chroot',
  'setns',
  'sethostname',
  'raw_socket',
  'packet_socket',
  'vsock',
  'netfilter_socket',
  'ptrace',
  'read_memory',
  'steal_descriptor',
  'kcmp',
  'bpf',
  'io_uring',
  'keyring',
  'add_key',
  'userfaultfd',
  'file_handle',
  'personality',
  'own_descriptors',
  'thread_descriptors',
  'hide_from_proc',
];

test('system calls that lead out are refused', async () => {
  assert.deepEqual(await inside(SYSTEM_CALLS), expectAll(SYSTEM_CALLS, 'EPERM'));
});

test('control: without the filter, Landlock and the namespace limits they work', async () => {
  const change = compose(noAllowList, noLandlock, noNamespaceLimits);
  const found = await inside(SYSTEM_CALLS, { change });
  // What this kernel was built without cannot work anywhere; outside shows which.
  const possible = SYSTEM_CALLS.filter((name) => outside([name])[name] === 'ok');
  assert.ok(possible.length > 15, `only ${possible}`);
  for (const name of possible) assert.equal(found[name], 'ok', name);
});

test('clone3 is answered as if it did not exist, so that programs fall back to clone', async () => {
  assert.deepEqual(await inside(['clone3_namespace']), { clone3_namespace: 'ENOSYS' });
});

test('nested user namespaces are closed twice: by the filter and by the limit', async () => {
  assert.deepEqual(await inside(['user_namespace'], { change: noNamespaceLimits }), { user_namespace: 'EPERM' });
  assert.deepEqual(await inside(['user_namespace', 'clone3_namespace'], { change: noAllowList }), {
    user_namespace: 'ENOSPC',
    clone3_namespace: 'ENOSPC',
  });
});

test('the network cannot be reconfigured, with or without the filter', async () => {
  assert.deepEqual(await inside(['netlink_write']), { netlink_write: 'EPERM' });
  assert.deepEqual(await inside(['netlink_write'], { change: noAllowList }), { netlink_write: 'EPERM' });
  // Control: in a namespace of one's own it works.
  const change = compose(noAllowList, noNamespaceLimits);
  assert.deepEqual(await inside(['netlink_write'], { change }), { netlink_write: 'ok' });
});

test('AF_ALG is refused by the filter, not for want of it in the kernel', async () => {
  assert.deepEqual(await inside(['crypto_socket']), { crypto_socket: 'EPERM' });
  assert.notDeepEqual(await inside(['crypto_socket'], { change: noAllowList }), { crypto_socket: 'EPERM' });
});

test('calls of foreign ABIs kill the caller', { skip: facts.arch === 'x64' ? false : 'x86-64 only' }, async () => {
  assert.deepEqual(await inside(['int80', 'x32']), { int80: 'signal 31', x32: 'signal 31' });
  const free = await inside(['int80', 'x32'], { change: without('seccomp') });
  assert.equal(free.x32, 'ok');
  assert.notEqual(free.int80, 'signal 31');
});

test('no set-user-ID program can be made', async () => {
  const attack = `set_uid_bit ${join(work, 'suid')}`;
  assert.deepEqual(await inside([attack]), { [attack]: 'EPERM' });
  assert.equal(statSync(join(work, 'suid')).mode & 0o7000, 0);
  assert.deepEqual(await inside([attack], { change: noAllowList }), { [attack]: 'ok' });
  assert.equal(statSync(join(work, 'suid')).mode & 0o7000, 0o4000);
});

test('no set-group-ID file can be made by opening it', async () => {
  for (const [name, refusal] of [
    ['make_set_id', 'EPERM'],
    ['make_set_id2', 'ENOSYS'],
  ] as const) {
    const attack = `${name} ${join(work, name)}`;
    assert.deepEqual(await inside([attack]), { [attack]: refusal });
    assert.deepEqual(await inside([attack], { change: noAllowList }), { [attack]: 'ok' });
    assert.equal(statSync(join(work, name)).mode & 0o7000, 0o2000);
  }
});

test('what is not listed does not exist', async () => {
  const paths = [
    secret,
    '/root/.ssh/id_rsa',
    '/var/log/syslog',
    '/home',
    '/sys/kernel',
    '/run',
    '/etc/shadow',
    '/boot',
  ];
  const list = paths.map((path) => `read ${path}`);
  assert.deepEqual(await inside(list), expectAll(list, 'ENOENT'));
  assert.deepEqual(outside([`read ${secret}`]), { [`read ${secret}`]: 'ok' });
});

/** Ways to write `guarded/file`, a read-only path under the writable workdir. */
const WRITES = [
  `write ${guarded}/file`,
  `write ${work}/link`,
  `write ${work}/../work/a/guarded/file`,
  `write /proc/self/root${guarded}/file`,
  `write /proc/self/cwd/a/guarded/file`,
  `truncate ${guarded}/file`,
  `create ${guarded}/new`,
  `unlink ${guarded}/other`,
  `chmod ${guarded}/file`,
  `rename ${guarded}/file ${work}/taken`,
  `link ${guarded}/file ${work}/linked`,
  `write ${locked}/file`,
];

function unlock(steps: readonly Step[]): readonly Step[] {
  return steps.map((step) =>
    step.op === 'tree' && step.source.startsWith(top)
      ? { ...step, attributes: step.attributes & ~MOUNT.readOnly }
      : step,
  );
}

test('a read-only path cannot be written by any name', async () => {
  const found = await inside(WRITES);
  for (const attack of WRITES) assert.match(found[attack] ?? '', /^(EROFS|EACCES|EXDEV)$/, attack);
  assert.equal(readFileSync(join(guarded, 'file'), 'utf8'), 'original');
});

test('Landlock holds that line alone, and so do the mounts', async () => {
  // Below a writable directory Landlock cannot take back what it gave: there the mounts hold alone.
  const list = [`write ${locked}/file`, `truncate ${locked}/file`];
  const spec = { ...attackSpec(...list), policy: testPolicy({ readOnly: [...SYSTEM_PATHS, locked], readWrite: [] }) };
  assert.deepEqual(outcomes((await run(spec, { change: unlock })).stdout), expectAll(list, 'EACCES'));
  const byMounts = await inside(WRITES, { change: noLandlock });
  for (const attack of WRITES) assert.match(byMounts[attack] ?? '', /^(EROFS|EXDEV)$/, attack);
});

test('control: without either, all but what a mount point itself prevents works', async () => {
  const list = WRITES.filter((attack) => !/^(rename|link) /.test(attack));
  const found = await inside(list, { change: compose(unlock, noLandlock) });
  assert.deepEqual(found, expectAll(list, 'ok'));
  for (const directory of [locked, guarded]) {
    for (const name of ['file', 'other']) writeFileSync(join(directory, name), 'original');
  }
});

test('control: rename and link work where the path is no mount of its own', async () => {
  const list = [`rename ${guarded}/file ${work}/taken`, `link ${guarded}/other ${work}/linked`];
  const spec = { ...attackSpec(...list), policy: testPolicy() };
  assert.deepEqual(outcomes((await run(spec)).stdout), expectAll(list, 'ok'));
  writeFileSync(join(guarded, 'file'), 'original');
});

test('the parent of a read-only path cannot be moved away to put another in its place', async () => {
  const attack = `rename ${work}/a ${work}/b`;
  assert.deepEqual(await inside([attack]), { [attack]: 'EBUSY' });
  const plan = planLaunch(attackSpec(attack, `rename ${work}/b ${work}/a`), facts);
  const pin = plan.steps.find((step) => step.op === 'tree' && step.source === join(work, 'a'));
  assert.ok(pin?.op === 'tree');
  const unpinned = plan.steps.filter((step) => !('slot' in step && step.slot === pin.slot));
  const free = outcomes((await runPlan({ ...plan, steps: unpinned })).stdout);
  assert.equal(free[attack], 'ok');
});

test('a hard link made by the host to a file that is not listed is the only way to it', async () => {
  // What the operator puts into the workdir is in the workdir: the control that inodes, not names, are not the line.
  linkSync(secret, join(work, 'handed-in'));
  assert.deepEqual(await inside([`read ${work}/handed-in`]), { [`read ${work}/handed-in`]: 'ok' });
});

test('pid 1 is closed: memory, environment, root, descriptors, tracing', async () => {
  const list = ['read /proc/1/mem', 'read /proc/1/environ', 'read /proc/1/maps', `read /proc/1/root${guarded}/file`];
  const found = await inside(list);
  for (const attack of list) assert.match(found[attack] ?? '', /^E(ACCES|PERM)$/, attack);
  // Control: one's own are open, so it is not /proc that refuses.
  assert.deepEqual(await inside(['read /proc/self/environ', 'read /proc/self/maps']), {
    'read /proc/self/environ': 'ok',
    'read /proc/self/maps': 'ok',
  });
});

test('host processes can be neither seen nor signalled', async () => {
  const attack = `signal ${process.pid}`;
  // The sandbox's numbers end at PID_MAX; below, another process could have it.
  assert.deepEqual(await inside([`signal ${process.pid + PID_MAX}`]), { [`signal ${process.pid + PID_MAX}`]: 'ESRCH' });
  const { stdout } = await run(testSpec(work, ['sh', '-c', 'ls /proc | grep "^[0-9]"; cat /proc/[0-9]*/comm']));
  assert.ok(!stdout.includes('node'), stdout);
  assert.ok(stdout.trim().split('\n').length < 12, stdout);
  if (isRoot || facts.uid === process.getuid?.()) assert.deepEqual(outside([attack]), { [attack]: 'ok' });
});

test('kernel settings cannot be written', async () => {
  const list = [
    'open_writable /proc/sys/kernel/core_pattern',
    'open_writable /proc/sys/vm/overcommit_memory',
    'open_writable /proc/sys/net/ipv4/ip_forward',
    'open_writable /proc/sys/user/max_user_namespaces',
    'open_writable /proc/sys/kernel/pid_max',
    'open_writable /proc/sysrq-trigger',
  ];
  const found = await inside(list);
  for (const attack of list) assert.match(found[attack] ?? '', /^(EACCES|EROFS|ENOENT)$/, attack);
  const masked = await inside(['read /proc/kcore', 'read /proc/keys', 'read /proc/timer_list']);
  for (const outcome of Object.values(masked)) assert.match(outcome, /^(ok|ENOENT)$/);
  const { stdout } = await run(testSpec(work, ['sh', '-c', 'cat /proc/kcore /proc/keys /proc/timer_list | wc -c']));
  assert.equal(stdout.trim(), '0');
});

test('control: root outside can write them', { skip: isRoot ? false : 'takes root' }, () => {
  const attack = 'open_writable /proc/sys/kernel/core_pattern';
  assert.deepEqual(outside([attack]), { [attack]: 'ok' });
});

test('a set-user-ID program gains nothing', { skip: isRoot ? false : 'takes root to make one' }, async () => {
  const program = join(locked, 'suid-attacks');
  copyFileSync(attacks, program);
  chmodSync(program, 0o4755);
  const spec = testSpec(work, [program, 'become_root'], { policy: policy() });
  assert.deepEqual(outcomes((await run(spec)).stdout), { become_root: 'EPERM' });
  // Control: outside an ordinary user becomes root by it.
  const output = execFileSync(program, ['become_root'], { uid: 60999, gid: 60999, encoding: 'utf8' });
  assert.deepEqual(outcomes(output), { become_root: 'ok' });
  chmodSync(program, 0o755);
});

test('abstract unix sockets of the host are out of reach', async () => {
  const name = `openshell-test-${process.pid}`;
  const server = createServer((socket) => socket.end()).listen(`\0${name}`);
  await new Promise((resolve) => server.once('listening', resolve));
  try {
    const attack = `abstract ${name}`;
    assert.deepEqual(await inside([attack]), { [attack]: 'ECONNREFUSED' });
    const reached = new Promise((resolve) => server.once('connection', resolve));
    assert.deepEqual(outside([attack]), { [attack]: 'ok' });
    await reached;
  } finally {
    server.close();
  }
});

test('processes are limited', async () => {
  const attack = 'fork_many 560';
  assert.deepEqual(await inside([attack]), { [attack]: 'EAGAIN' });
  assert.deepEqual(await inside([attack], { change: without('rlimit') }), { [attack]: 'ok' });
  // The pid namespace limits them too, whatever the user.
  const change = (steps: readonly Step[]) =>
    without('rlimit')(steps).map((step) =>
      step.op === 'write' && step.path.endsWith('pid_max') ? { ...step, bytes: Buffer.from('400') } : step,
    );
  if (facts.pidMaxPerNamespace) assert.deepEqual(await inside([attack], { change }), { [attack]: 'EAGAIN' });
});

test('the plan gives no descriptor but 0-2', async () => {
  const { stdout } = await run(
    testSpec(work, ['/usr/bin/python3', '-c', 'import os; print(sorted(os.listdir("/proc/self/fd")))']),
  );
  // 3 is the directory being listed.
  assert.equal(stdout.trim(), "['0', '1', '2', '3']");
});

test('what the sandbox has of its own it can use', async () => {
  const list = [`write ${work}/own`, 'write /tmp/own', 'write /dev/null', 'write /dev/shm/own', 'write /sandbox/own'];
  await run(testSpec(work, ['sh', '-c', 'true']));
  writeFileSync(join(work, 'own'), '');
  const created = ['create /tmp/own', 'create /dev/shm/own', 'create /sandbox/own'];
  const all = [...created, ...list];
  assert.deepEqual(await inside(all), expectAll(all, 'ok'));
  const refused = ['create /own', 'create /dev/own', 'create /etc/own', 'create /usr/own'];
  const found = await inside(refused);
  for (const attack of refused) assert.match(found[attack] ?? '', /^E(ROFS|ACCES)$/, attack);
});

test('a fork bomb does not keep the sandbox from being ended', async () => {
  let started = 0;
  const result = await run(attackSpec('fork_bomb'), {
    attach: (sandbox) =>
      sandbox.stdout?.once('data', () => {
        started = performance.now();
        sandbox.kill();
      }),
  });
  assert.equal(result.code, 137);
  assert.ok(started > 0 && performance.now() - started < 10_000);
});

test('core dumps, which the host would handle, cannot be switched on', async () => {
  assert.deepEqual(await inside(['core_dumps']), { core_dumps: 'EPERM' });
  assert.deepEqual(await inside(['core_dumps'], { change: noAllowList }), { core_dumps: 'ok' });
});

test('hidden directories are empty inside, though the workdir holds them', async () => {
  const state = join(work, 'deep', 'state');
  mkdirSync(state, { recursive: true });
  writeFileSync(join(state, 'log'), 'evidence');
  const list = [`read ${state}/log`, `create ${state}/log`, `rename ${work}/deep ${work}/elsewhere`];
  const hidden = await run({ ...attackSpec(...list), hidden: [state] });
  assert.deepEqual(Object.values(outcomes(hidden.stdout)), ['ENOENT', 'EROFS', 'EBUSY']);
  assert.deepEqual(await inside([`read ${state}/log`]), { [`read ${state}/log`]: 'ok' });
});
