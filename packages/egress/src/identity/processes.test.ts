import assert from 'node:assert/strict';
import { once } from 'node:events';
import { fstatSync } from 'node:fs';
import net from 'node:net';
import { test } from 'node:test';
import { findHolders, NotVisible } from './processes.ts';

/** Larger than any process id (PID_MAX_LIMIT, proc_sys_kernel(5)): nobody's. */
const NOBODY = 2 ** 22 + 1;

test('a process that the first look at the tree missed is found by the second', async () => {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { fd } = (server as net.Server & { _handle: { fd: number } })._handle;
  const inode = String(fstatSync(fd).ino);
  const looks = [[NOBODY], [NOBODY, process.pid]];
  let taken = 0;
  const holders = await findHolders(NOBODY, new Set([inode]), () => {
    const pids = looks[Math.min(taken++, 1)] ?? [];
    return new Map(pids.map((pid) => [pid, 0]));
  });
  server.close();
  assert.deepEqual(
    holders.get(inode)?.map(({ pid }) => pid),
    [process.pid],
  );
  assert.equal(taken, 3);
});

test('a tree in which new processes keep appearing is not visible', async () => {
  let next = NOBODY;
  const readTree = () => new Map([[next++, 0]]);
  await assert.rejects(findHolders(NOBODY, new Set(['1']), readTree), NotVisible);
});
