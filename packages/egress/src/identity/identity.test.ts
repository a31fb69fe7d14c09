import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, readlinkSync, realpathSync, rmSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { kernelTuple } from '../seams.ts';
import { ProcessIdentifier } from './identity.ts';

const NODE = realpathSync(process.execPath);
const identifier = new ProcessIdentifier(process.pid);
const children: ChildProcess[] = [];
let server: net.Server;
let port: number;

before(async () => {
  server = net.createServer();
  server.listen(0, '::');
  await once(server, 'listening');
  ({ port } = server.address() as AddressInfo);
});
after(async () => {
  for (const child of children) child.kill('SIGKILL');
  await Promise.all(
    children.map((child) => child.exitCode === null && child.signalCode === null && once(child, 'exit')),
  );
  server.close();
});

function run(executable: string, script: string, ...args: string[]): ChildProcess {
  const child = spawn(executable, ['-e', script, String(port), ...args], { stdio: ['pipe', 'ignore', 'inherit'] });
  children.push(child);
  return child;
}

async function accepted(): Promise<net.Socket> {
  const [socket] = (await once(server, 'connection')) as [net.Socket];
  socket.on('error', () => {});
  return socket;
}

async function identify(socket: net.Socket) {
  const tuple = kernelTuple(socket);
  assert.ok(tuple);
  return identifier.identify(tuple);
}

const CONNECT = 'require("net").connect(+process.argv[1], process.argv[2]); setInterval(() => {}, 1000)';

describe('who holds a connection', { timeout: 20_000 }, () => {
  test('a process whose first thread has ended while another holds the connection', async () => {
    const script = [
      'import ctypes, socket, sys, threading, time',
      'def hold(): s = socket.create_connection(("127.0.0.1", int(sys.argv[1]))); s.recv(1)',
      'threading.Thread(target=hold).start()',
      'ctypes.CDLL(None).pthread_exit(None)',
    ].join('\n');
    const child = spawn('/usr/bin/python3', ['-c', script, String(port)], { stdio: 'ignore' });
    children.push(child);
    const socket = await accepted();
    const found = await identify(socket);
    assert.deepEqual(
      found.map(({ pid }) => pid),
      [child.pid],
    );
    socket.destroy();
  });

  for (const host of ['127.0.0.1', '::1', '::ffff:127.0.0.1']) {
    test(`a child process, over ${host}`, async () => {
      const child = run(NODE, CONNECT, host);
      const socket = await accepted();
      const found = await identify(socket);
      assert.deepEqual(
        found.map(({ pid, executable }) => ({ pid, executable })),
        [{ pid: child.pid, executable: NODE }],
      );
      assert.deepEqual(found[0]?.commandLine?.slice(-2), [String(port), host]);
    });
  }

  test('ancestors, parent first', async () => {
    const script = `require("child_process").spawn(process.execPath, ["-e", ${JSON.stringify(CONNECT)}, process.argv[1], "127.0.0.1"], {stdio: "inherit"}).on("exit", () => {}); process.stdin.resume().on("end", () => process.exit())`;
    const child = run(NODE, script);
    const [holder] = await identify(await accepted());
    assert.notEqual(holder?.pid, child.pid);
    assert.deepEqual(holder?.ancestors, [NODE]);
    if (holder) process.kill(holder.pid, 'SIGKILL');
  });

  test('every process that shares the socket', async () => {
    const script = `
      const socket = require("net").connect(+process.argv[1], "127.0.0.1", () => {
        const child = require("child_process").spawn("sleep", ["60"], { stdio: ["ignore", "ignore", "ignore", socket] });
        child.on("spawn", () => socket.write("shared"));
        process.stdin.resume().on("end", () => { child.kill(); process.exit(); });
      });`;
    const child = run(NODE, script);
    const socket = await accepted();
    await once(socket, 'data');
    const found = await identify(socket);
    assert.equal(found.length, 2);
    assert.ok(found.some(({ pid }) => pid === child.pid));
    assert.ok(found.some(({ executable }) => executable !== NODE));
    for (const { pid } of found) if (pid !== child.pid) process.kill(pid, 'SIGKILL');
  });

  test('an executable that was deleted has no name', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'egress-'));
    const copy = join(directory, 'node');
    copyFileSync(NODE, copy);
    run(copy, CONNECT, '127.0.0.1');
    const socket = await accepted();
    assert.equal((await identify(socket))[0]?.executable, realpathSync(copy));
    rmSync(directory, { recursive: true });
    const [holder] = await identify(socket);
    assert.ok(holder);
    assert.equal(holder.executable, undefined);
  });

  test('one that was replaced has none either', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'egress-'));
    const copy = join(directory, 'node');
    copyFileSync(NODE, copy);
    run(copy, CONNECT, '127.0.0.1');
    const socket = await accepted();
    rmSync(copy);
    copyFileSync('/bin/true', copy);
    assert.equal((await identify(socket))[0]?.executable, undefined);
    rmSync(directory, { recursive: true });
  });

  const unshared = spawnSync('unshare', ['-Urm', 'true']).status === 0;
  test('one on a mount that is gone from view cannot pass for another', {
    skip: !unshared && 'needs namespaces',
  }, async () => {
    // Seen from its own lost mount, this program is called /usr/bin/env.
    const directory = mkdtempSync(join(tmpdir(), 'egress-'));
    for (const each of ['lost/usr/bin', 'mount']) mkdirSync(join(directory, each), { recursive: true });
    copyFileSync(NODE, join(directory, 'lost/usr/bin/env'));
    const unmount = 'require("child_process").execFileSync("umount", ["-l", "mount"]);';
    const script = 'cd "$1" && mount --bind lost mount && exec mount/usr/bin/env -e "$2" "$3" 127.0.0.1';
    const args = ['-Urm', 'sh', '-c', script, 'sh', directory, `${unmount}${CONNECT}`, String(port)];
    const child = spawn('unshare', args, { stdio: ['ignore', 'ignore', 'inherit'] });
    children.push(child);
    const [holder] = await identify(await accepted());
    assert.ok(holder);
    assert.equal(readlinkSync(`/proc/${holder.pid}/exe`), '/usr/bin/env');
    assert.equal(holder.executable, undefined);
    process.kill(holder.pid, 'SIGKILL');
    await once(child, 'exit');
    rmSync(directory, { recursive: true });
  });

  test('nobody, when the client has gone', async () => {
    const child = run(NODE, CONNECT, '127.0.0.1');
    const socket = await accepted();
    const tuple = kernelTuple(socket);
    assert.ok(tuple);
    child.kill('SIGKILL');
    await once(child, 'exit');
    assert.deepEqual(await identifier.identify(tuple), []);
  });

  test('nobody outside the tree that is looked at', async () => {
    const other = run(NODE, CONNECT, '127.0.0.1');
    const socket = await accepted();
    const bystander = run(NODE, 'setInterval(() => {}, 1000)');
    const tuple = kernelTuple(socket);
    assert.ok(tuple && bystander.pid && other.pid);
    assert.deepEqual(await new ProcessIdentifier(bystander.pid).identify(tuple), []);
    assert.equal((await identifier.identify(tuple)).length, 1);
  });

  test('many at once share a scan and are not mixed up', async () => {
    const clients = Array.from({ length: 20 }, () => net.connect(port, '127.0.0.1'));
    const sockets: net.Socket[] = [];
    while (sockets.length < clients.length) sockets.push(await accepted());
    const found = await Promise.all(sockets.map(identify));
    assert.ok(found.every((holders) => holders.length === 1 && holders[0]?.pid === process.pid));
    for (const client of clients) client.destroy();
  });
});
