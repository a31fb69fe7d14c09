import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { planLaunch } from './compose.ts';
import { LaunchError } from './error.ts';
import { launch } from './launch.ts';
import type { KernelEvent } from './monitor.ts';
import { INTERCEPT_PORT } from './network/addresses.ts';
import { eventually, facts, isRoot, run, runPlan, scratch, testPolicy, testSpec } from './testing/fixture.ts';

const work = scratch();
const sh = (script: string, ...more: string[]) => testSpec(work, ['/bin/sh', '-c', script, 'sh', ...more]);

test('this machine can run a sandbox', () => {
  assert.deepEqual(
    facts.missing.filter(({ required }) => required),
    [],
  );
});

test('the exit status is the command’s', async () => {
  assert.equal((await run(testSpec(work, ['true']))).code, 0);
  assert.equal((await run(sh('exit 7'))).code, 7);
  assert.equal((await run(sh('kill -KILL $$'))).code, 128 + 9);
});

test('arguments and environment arrive exactly, and nothing else does', async () => {
  const odd = ['', 'a b', '$HOME', '"', "'", '\n', '*', 'é'];
  const script = 'import os,sys,json; print(json.dumps([sys.argv[1:], dict(os.environ)]))';
  process.env.OPENSHELL_TEST_SECRET = 'not for the agent';
  const { stdout } = await run(
    testSpec(work, ['/usr/bin/python3', '-c', script, ...odd], { env: { X: 'a=b\nc', PATH: '/usr/bin' } }),
  );
  delete process.env.OPENSHELL_TEST_SECRET;
  const [argv, env] = JSON.parse(stdout);
  assert.deepEqual(argv, odd);
  assert.deepEqual(env, {
    HOME: '/sandbox',
    USER: 'sandbox',
    LOGNAME: 'sandbox',
    SHELL: '/bin/sh',
    PATH: '/usr/bin',
    LANG: 'C.UTF-8',
    X: 'a=b\nc',
  });
});

test('standard input, output and error pass through', async () => {
  const input = 'x'.repeat(300_000);
  const { stdout, stderr, code } = await run(sh('cat; echo oops >&2'), { input });
  assert.equal(stdout, input);
  assert.equal(stderr, 'oops\n');
  assert.equal(code, 0);
});

test('a command that does not exist inside says so', async () => {
  const missing = await run(testSpec(work, ['no-such-program']));
  assert.equal(missing.code, 127);
  assert.match(missing.failure?.message ?? '', /no-such-program: not found inside the sandbox/);
  writeFileSync(join(work, 'data'), 'x', { mode: 0o644 });
  const denied = await run(testSpec(work, [join(work, 'data')]));
  assert.equal(denied.code, 126);
});

test('the agent is an unprivileged user who owns the workdir, and what it creates is the owner’s on disk', async () => {
  const { stdout } = await run(sh('id -u; stat -c %u .; echo made > made; stat -c %u made'));
  const agent = isRoot ? '60999' : String(facts.uid);
  assert.deepEqual(stdout.trim().split('\n'), [agent, agent, agent]);
  assert.equal(statSync(join(work, 'made')).uid, facts.uid);
});

test('the sandbox is what the plan says: ids, capabilities, descriptors, host name, home', async () => {
  const { stdout } = await run(
    sh(
      'cat /proc/self/status; hostname 2>/dev/null || cat /proc/sys/kernel/hostname; ls /proc/self/fd; echo $HOME; touch ~/x && echo home',
    ),
  );
  for (const set of ['Inh', 'Prm', 'Eff', 'Bnd', 'Amb']) assert.match(stdout, new RegExp(`Cap${set}:\\s0{16}\\n`));
  assert.match(stdout, /NoNewPrivs:\s1\n/);
  assert.match(stdout, /Seccomp_filters:\s2\n/);
  // 3 is the directory that ls itself reads.
  assert.match(stdout, /\nbox\n0\n1\n2\n3\n\/sandbox\nhome\n$/);
});

test('pid 1 reaps orphans, and gives up its own capabilities', async () => {
  const { stdout } = await run(
    sh(
      '(sleep 0.05 & exec true); for i in 1 2 3 4 5 6; do sleep 0.05; done; grep Cap /proc/1/status; ls /proc | grep -c "^[0-9]"',
    ),
  );
  assert.match(stdout, /CapEff:\s0{16}/);
  assert.match(stdout, /CapBnd:\s0{16}/);
  // pid 1, the shell, ls and grep: the sleep is not left as a zombie.
  assert.match(stdout, /\n[34]\n$/);
});

test('signals reach the command, and its status tells', async () => {
  for (const [signal, code] of [
    ['SIGTERM', 143],
    ['SIGINT', 130],
    ['SIGUSR1', 42],
  ] as const) {
    const script = 'trap "exit 42" USR1; echo ready; while :; do sleep 0.02; done';
    const result = await run(sh(script), {
      attach: (sandbox) => sandbox.stdout?.once('data', () => sandbox.signal(signal)),
    });
    assert.equal(result.code, code, signal);
  }
});

test('kill ends everything at once', async () => {
  const result = await run(sh('trap "" TERM INT HUP; setsid sleep 100 & echo ready; wait'), {
    attach: (sandbox) => sandbox.stdout?.once('data', () => sandbox.kill()),
  });
  assert.equal(result.code, 137);
});

test('a listener that throws ends the sandbox', async () => {
  const result = await run(sh('while :; do echo x > f; done'), {
    attach: (sandbox) =>
      sandbox.onEvent((event) => {
        if (event.kind === 'file') throw new Error('the disk is full');
      }),
  });
  assert.equal(result.code, 137);
  assert.match(result.failure?.message ?? '', /the disk is full/);
});

test('a program does not start before every listener has had its record', async () => {
  const marker = join(work, 'ran');
  const result = await run(sh(`/usr/bin/touch ${marker}; echo $?`), {
    attach: (sandbox) =>
      sandbox.onEvent((event) => {
        if (event.kind !== 'exec' || !event.path.endsWith('/touch')) return;
        // The whole supervisor stands still here, long enough for touch to have run if nothing held it.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
        assert.equal(existsSync(marker), false);
      }),
  });
  assert.deepEqual([result.code, result.failure], [0, undefined]);
  assert.ok(existsSync(marker), 'the control: it ran in the end');
});

test('nothing starts before release', async () => {
  const marker = join(work, 'started');
  const plan = planLaunch(sh(`touch ${marker}`), facts);
  const sandbox = await launch(plan, { stdio: ['pipe', 'pipe', 'pipe'] });
  assert.equal(existsSync(marker), false);
  assert.equal(readFileSync(`/proc/${sandbox.initPid}/stat`, 'utf8').includes('openshell-init'), true);
  sandbox.kill();
  assert.equal((await sandbox.exited).code, 137);
  assert.equal(existsSync(marker), false);
});

test('a step that fails is named, and nothing is left', async () => {
  const plan = planLaunch(sh('true'), facts);
  const steps = plan.steps.map((step) => (step.op === 'root' ? { ...step, path: '/no/such/place' } : step));
  await assert.rejects(launch({ ...plan, steps }), (error: unknown) => {
    assert.ok(error instanceof LaunchError);
    assert.equal(error.step, 'root');
    assert.match(error.message, /move_mount \/no\/such\/place: no such file or directory/);
    return true;
  });
});

test('the supervisor’s SIGKILL leaves nothing', async () => {
  const script = `
    import { planLaunch } from ${JSON.stringify(new URL('./compose.ts', import.meta.url).href)};
    import { launch } from ${JSON.stringify(new URL('./launch.ts', import.meta.url).href)};
    import { probeKernel } from ${JSON.stringify(new URL('./probe.ts', import.meta.url).href)};
    const [spec] = process.argv.slice(-1).map((text) => JSON.parse(text));
    spec.policy.source.lines = new Map();
    const sandbox = await launch(planLaunch(spec, await probeKernel()), { stdio: ['pipe', 'pipe', 'pipe'] });
    sandbox.release();
    sandbox.stdout.once('data', () => process.stdout.write(sandbox.initPid + '\\n'));`;
  const spec = JSON.stringify(sh('trap "" TERM; setsid sleep 1000 & echo up; wait'));
  const supervisor = spawn(process.execPath, ['--input-type=module', '-e', script, spec], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const pid = await new Promise<number>((resolve) => supervisor.stdout.once('data', (text) => resolve(Number(text))));
  const inside = family(pid);
  supervisor.kill('SIGKILL');
  assert.ok(inside.length >= 3, 'pid 1, the shell and the sleep are up');
  await eventually('every process of the sandbox is gone', () =>
    inside.every(({ pid, start }) => startOf(pid) !== start),
  );
});

/** When a process started, in clock ticks: with its number, its identity. */
function startOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[19];
  } catch {
    return undefined;
  }
}

/** A process and all its descendants. */
function family(pid: number): { pid: number; start: string | undefined }[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean);
  return [{ pid, start: startOf(pid) }, ...children.flatMap((child) => family(Number(child)))];
}

test('fifty launches leave no descriptor, process or mount behind', async () => {
  const count = () => ({
    descriptors: readdirSync('/proc/self/fd').length,
    children: readFileSync('/proc/thread-self/children', 'utf8').trim(),
    mounts: readFileSync('/proc/self/mountinfo', 'utf8').split('\n').length,
  });
  const plan = planLaunch(testSpec(work, ['true']), facts);
  await runPlan(plan);
  const before = count();
  for (let i = 0; i < 10; i++) {
    const results = await Promise.all(Array.from({ length: 5 }, () => runPlan(plan)));
    assert.deepEqual([...new Set(results.map(({ code }) => code))], [0]);
  }
  await eventually('all descriptors are closed', () => count().descriptors <= before.descriptors);
  assert.deepEqual(count(), before);
});

test('what the command does is on record, its own start first', async () => {
  const script = [
    'cd /tmp; echo 1 > new; mv new old; ln old hard; ln -s old soft; chmod 600 old; mkdir d; rmdir d; rm hard',
    ': >> old; cat old > /dev/null; /usr/bin/env true',
  ].join('; ');
  const { events, code } = await run(testSpec(work, ['sh', '-c', script]));
  assert.equal(code, 0);
  const [first] = events;
  assert.ok(first?.kind === 'exec');
  assert.deepEqual(first.argv, ['sh', '-c', script]);
  assert.equal(first.cwd, work);
  assert.equal(first.executable, undefined);
  const files = events.flatMap((event) =>
    event.kind === 'file' ? [`${event.operation} ${event.path}${event.target ? ` > ${event.target}` : ''}`] : [],
  );
  for (const wanted of [
    'write /tmp/new',
    'rename /tmp/new > /tmp/old',
    'link /tmp/old > /tmp/hard',
    'symlink /tmp/soft > old',
    'chmod /tmp/old',
    'mkdir /tmp/d',
    'rmdir /tmp/d',
    'delete /tmp/hard',
    'write /tmp/old',
    'write /dev/null',
  ]) {
    assert.ok(files.includes(wanted), `${wanted} in ${files.join(', ')}`);
  }
  const execs = events.flatMap((event) => (event.kind === 'exec' ? [event] : []));
  const env = execs.find(({ path }) => path === '/usr/bin/env');
  assert.deepEqual(env?.argv, ['/usr/bin/env', 'true']);
  assert.match(env?.executable ?? '', /sh$/);
});

test('paths relative to a descriptor, and descriptors themselves, are resolved; threads are their process', async () => {
  const script = [
    'import os, threading',
    "d = os.open('/tmp', os.O_RDONLY); os.mkdir('made', dir_fd=d); os.fchmod(d, 0o755); os.mkdir('../tmp//x/', dir_fd=d)",
    "t = threading.Thread(target=lambda: open('/tmp/thread', 'w')); t.start(); t.join(); print(os.getpid())",
  ].join('\n');
  const { events } = await run(testSpec(work, ['/usr/bin/python3', '-c', script]));
  const files = events.flatMap((event) => (event.kind === 'file' ? [event] : []));
  assert.deepEqual(
    files.map(({ operation, path }) => `${operation} ${path}`).filter((line) => !line.includes('__pycache__')),
    ['mkdir /tmp/made', 'chmod /tmp', 'mkdir /tmp/x', 'write /tmp/thread'],
  );
  assert.equal(new Set(files.map(({ pid }) => pid)).size, 1);
});

test('long arguments are cut and marked', async () => {
  const { events } = await run(testSpec(work, ['/bin/true', 'x'.repeat(20_000)]));
  const [first] = events;
  assert.ok(first?.kind === 'exec');
  assert.equal(first.incomplete, 'truncated');
  assert.equal(first.argv.join('').length, 8192);
});

test('a supervisor that does not read makes the agent wait, and loses nothing', async () => {
  const rounds = 3000;
  let seen = 0;
  const script = `i=0; while [ $i -lt ${rounds} ]; do : > /tmp/f; i=$((i+1)); done`;
  const { code } = await run(sh(script), {
    attach: (sandbox) =>
      sandbox.onEvent((event) => {
        if (event.kind !== 'file') return;
        // Blocks the event loop, and with it the reading.
        if (seen++ % 500 === 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
      }),
  });
  assert.equal(code, 0);
  assert.equal(seen, rounds);
});

const PROBE = `
import socket
def tcp(family, host, port):
    s = socket.socket(family); s.settimeout(5)
    try:
        s.connect((host, port)); return s.recv(100).decode()
    except OSError as e: return type(e).__name__
print(tcp(socket.AF_INET, '1.2.3.4', 443))
print(tcp(socket.AF_INET6, '2606:4700::1111', 22))
print(tcp(socket.AF_INET, '169.254.169.254', 80))
print(tcp(socket.AF_INET, '127.0.0.1', ${INTERCEPT_PORT}))
print(tcp(socket.AF_INET, '192.0.0.8', ${INTERCEPT_PORT}))
print(tcp(socket.AF_INET6, '::1', ${INTERCEPT_PORT}))
server = socket.socket(); server.bind(('127.0.0.1', 8080)); server.listen()
print('loopback', socket.create_connection(('127.0.0.1', 8080)) and 'ok')
def udp(family, host, port):
    s = socket.socket(family, socket.SOCK_DGRAM); s.settimeout(5)
    try:
        s.sendto(b'question', (host, port)); return s.recv(100).decode()
    except OSError as e: return type(e).__name__
print(udp(socket.AF_INET, '8.8.8.8', 53), udp(socket.AF_INET6, '2001:4860:4860::8888', 53), udp(socket.AF_INET, '127.0.0.53', 53))
print(udp(socket.AF_INET, '8.8.8.8', 123), udp(socket.AF_INET6, '2001:db8::5', 443), udp(socket.AF_INET, '224.0.0.251', 5353))
`;

test('TCP to everywhere arrives at one listener, questions at our DNS, the rest is refused and recorded', async () => {
  const { stdout, events } = await run(testSpec(work, ['/usr/bin/python3', '-c', PROBE]), {
    attach: ({ tcp, dns }) => {
      tcp.on('connection', (socket) => socket.end(`${socket.localAddress} ${socket.localPort}`));
      for (const socket of dns) {
        socket.on('message', (message, from) => socket.send(`answer to ${message}`, from.port, from.address));
      }
    },
  });
  assert.deepEqual(stdout.trim().split('\n'), [
    '::ffff:1.2.3.4 443',
    '2606:4700::1111 22',
    '::ffff:169.254.169.254 80',
    'ConnectionRefusedError',
    'ConnectionRefusedError',
    'ConnectionRefusedError',
    'loopback ok',
    'answer to question answer to question answer to question',
    'PermissionError PermissionError PermissionError',
  ]);
  assert.deepEqual(
    events.filter(({ kind }) => kind === 'datagram'),
    [
      { kind: 'datagram', address: '8.8.8.8', port: 123, protocol: 'udp' },
      { kind: 'datagram', address: '2001:db8::5', port: 443, protocol: 'udp' },
      { kind: 'datagram', address: '224.0.0.251', port: 5353, protocol: 'udp' },
    ] satisfies KernelEvent[],
  );
});

test('a server inside is out of reach of the host, and the host’s of the sandbox', async () => {
  const script =
    "import socket; s=socket.socket(); s.bind(('0.0.0.0', 8123)); s.listen(); print('up', flush=True); s.accept()";
  let refused: string | undefined;
  const { code } = await run(testSpec(work, ['/usr/bin/python3', '-c', script]), {
    attach: (sandbox) =>
      sandbox.stdout?.once('data', () => {
        connect(8123, '127.0.0.1')
          .on('connect', () => sandbox.kill())
          .on('error', (error) => {
            refused = error.message;
            sandbox.kill();
          });
      }),
  });
  assert.equal(code, 137);
  assert.match(refused ?? '', /ECONNREFUSED/);
});

test('mounts, home and synthesised files are where the spec puts them', async () => {
  const home = scratch();
  const data = scratch();
  writeFileSync(join(home, '.profile'), 'mine');
  writeFileSync(join(data, 'set'), 'numbers');
  const spec = testSpec(
    '/',
    ['sh', '-c', 'cat /sandbox/.profile /data/set /etc/extra; pwd; touch /work/x /sandbox/y; touch /data/z'],
    {
      workdir: { source: work, target: '/work' },
      cwd: '/work',
      home,
      mounts: [{ source: data, target: '/data' }],
      files: [{ path: '/etc/extra', content: 'ours', mode: 0o644 }],
      policy: testPolicy({ readOnly: ['/usr', '/bin', '/lib', '/lib64', '/etc', '/data'] }),
    },
  );
  const { stdout, stderr } = await run(spec);
  assert.equal(stdout, 'minenumbersours/work\n');
  assert.match(stderr, /cannot touch '\/data\/z': Read-only file system/);
  assert.ok(existsSync(join(work, 'x')) && existsSync(join(home, 'y')) && !existsSync(join(data, 'z')));
});
