import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  closeSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import type { LogEntry } from './ocsf/record.ts';
import { readLog } from './read.ts';
import { actionEvent, getRequest, openLog, scratch } from './test-support.ts';
import { verifyLog } from './verify.ts';

const SUPPORT = new URL('./test-support.ts', import.meta.url).href;
const EVENT = 'support.actionEvent(support.getRequest)';

function script(body: string): string[] {
  return ['--input-type=module', '--eval', `import * as support from ${JSON.stringify(SUPPORT)};\n${body}`];
}

async function titles(directory: string): Promise<string[]> {
  const entries: LogEntry[] = [];
  for await (const entry of readLog(directory)) entries.push(entry);
  return entries
    .filter(({ record }) => record.class_uid === 2004)
    .map(({ record }) => record.unmapped.openshell.object);
}

/** A writer in a process of its own, which has written some records when this returns. It ends with the test. */
async function startWriter(t: TestContext, directory: string): Promise<ChildProcess> {
  const child = spawn(
    process.execPath,
    [
      ...script(`
        const log = support.openLog(process.argv[1]);
        for (let index = 0; index < 20; index += 1) { log.append(${EVENT}); if (index === 11) log.checkpoint(); }
        console.log('written');
        setInterval(() => log.append(${EVENT}), 1);`),
      directory,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  t.after(() => child.kill('SIGKILL'));
  const started = once(createInterface({ input: child.stdout }), 'line').then(([line]) => line);
  const ended = once(child, 'exit').then(([status]) => `ended with ${status}`);
  assert.equal(await Promise.race([started, ended]), 'written');
  return child;
}

test('a second writer is refused while the first lives, whatever it ends of', async (t) => {
  const directory = scratch(t);
  const first = openLog(directory);
  assert.throws(() => openLog(directory), { name: 'AuditError', code: 'locked' });
  const refused = spawnSync(process.execPath, [
    ...script(`try { support.openLog(process.argv[1]); } catch (error) { console.log(error.code); }`),
    directory,
  ]);
  assert.equal(refused.stdout.toString(), 'locked\n');
  // The refusals above must not have cost the first writer its lock.
  assert.throws(() => openLog(directory), { code: 'locked' });
  first.append(actionEvent(getRequest));
  first.close();
  openLog(directory).close();

  const child = await startWriter(t, directory);
  assert.throws(() => openLog(directory), { code: 'locked' });
  child.kill('SIGKILL');
  await once(child, 'exit');
  openLog(directory).close();
});

test('after SIGKILL at any moment the log goes on, and says so', async (t) => {
  const directory = scratch(t);
  for (let round = 1; round <= 2; round += 1) {
    const child = await startWriter(t, directory);
    child.kill('SIGKILL');
    await once(child, 'exit');
    openLog(directory).close();
    const found = await verifyLog(directory);
    assert.deepEqual([found.ok, found.closed, found.problems], [true, true, []]);
    assert.equal((await titles(directory)).filter((title) => title === 'Audit log was not closed').length, round);
  }
});

test('a torn last record is set aside and put on record, wherever it was torn', async (t) => {
  const directory = scratch(t);
  const events = join(directory, 'events.jsonl');
  const crashed = openLog(directory);
  crashed.append(actionEvent(getRequest));
  crashed.checkpoint();
  crashed.append(actionEvent(getRequest));
  abandon(crashed, directory);
  const whole = readFileSync(events);
  const lastLine = whole.lastIndexOf(0x0a, whole.length - 2) + 1;
  const torn = whole.subarray(lastLine, lastLine + 700);
  truncateSync(events, lastLine + 700);

  const before = await verifyLog(directory);
  assert.deepEqual([before.ok, before.covered, before.firstBad?.line], [false, 1, 2]);
  openLog(directory).close();
  assert.deepEqual(readFileSync(join(directory, 'torn-2')), torn);
  assert.equal(statSync(join(directory, 'torn-2')).mode & 0o777, 0o600);
  assert.deepEqual(await titles(directory), ['Unfinished record set aside', 'Audit log was not closed']);
  const after = await verifyLog(directory);
  assert.deepEqual([after.ok, after.closed, after.records], [true, true, 3]);
});

test('a torn checkpoint is set aside and put on record', async (t) => {
  const directory = scratch(t);
  const checkpoints = join(directory, 'checkpoints');
  const crashed = openLog(directory);
  crashed.append(actionEvent(getRequest));
  const { size } = statSync(checkpoints);
  crashed.checkpoint();
  abandon(crashed, directory);
  const whole = statSync(checkpoints).size;
  for (const length of [size + 1, size + 60, whole - 1]) {
    truncateSync(checkpoints, length);
    assert.equal((await verifyLog(directory)).ok, false);
  }
  openLog(directory).close();
  assert.deepEqual(await titles(directory), ['Unfinished checkpoint set aside', 'Audit log was not closed']);
  assert.equal(statSync(join(directory, 'torn-checkpoint-2')).size, whole - 1 - size);
  assert.equal((await verifyLog(directory)).ok, true);
});

test('two records torn at one place are both kept', (t) => {
  const directory = scratch(t);
  openAndAbandon(directory);
  appendFileSync(join(directory, 'events.jsonl'), '{"torn":');
  writeFileSync(join(directory, 'torn-1'), 'from an earlier crash', { mode: 0o600 });
  openLog(directory).close();
  assert.equal(readFileSync(join(directory, 'torn-1'), 'utf8'), 'from an earlier crash');
  assert.equal(readFileSync(join(directory, 'torn-1.2'), 'utf8'), '{"torn":');
});

test('a record set aside before a crash of the mending itself still comes on record, once', async (t) => {
  const directory = scratch(t);
  openLog(directory).close();
  writeFileSync(join(directory, 'torn-1.pending'), '{"torn":', { mode: 0o600 });
  openLog(directory).close();
  openLog(directory).close();
  assert.deepEqual(await titles(directory), ['Unfinished record set aside']);
  assert.equal(readFileSync(join(directory, 'torn-1'), 'utf8'), '{"torn":');
});

test('a log that does not verify is not continued, and not touched', (t) => {
  const directory = scratch(t);
  const log = openLog(directory);
  for (let index = 0; index < 4; index += 1) log.append(actionEvent(getRequest));
  log.close();
  const events = join(directory, 'events.jsonl');
  const good = readFileSync(events, 'utf8');
  const lines = good.split('\n');
  const bad = [
    good.replace('items', 'itens'),
    `${lines.slice(0, 3).join('\n')}\n`,
    lines.slice(0, 3).join('\n'),
    `${good}{"more":`,
    `${good}${lines[3]}\n`,
    '',
  ];
  for (const content of bad) {
    writeFileSync(events, content);
    assert.throws(() => openLog(directory), { name: 'AuditError', code: 'corrupt' });
    assert.equal(readFileSync(events, 'utf8'), content);
  }
  writeFileSync(events, good);
  const checkpoints = readFileSync(join(directory, 'checkpoints'));
  writeFileSync(join(directory, 'checkpoints'), '');
  assert.throws(() => openLog(directory), { code: 'corrupt' });
  writeFileSync(join(directory, 'checkpoints'), checkpoints);
  assert.deepEqual(readdirSync(directory).toSorted(), ['checkpoints', 'events.jsonl', 'key.pub', 'lock']);
  openLog(directory).close();
});

test('a failed write stops the log for good', async (t) => {
  const directory = scratch(t);
  const log = openLog(directory);
  log.append(actionEvent(getRequest));
  const fd = descriptorOf(join(directory, 'events.jsonl'));
  closeSync(fd);
  assert.throws(() => log.append(actionEvent(getRequest)), { name: 'AuditError', code: 'write' });
  assert.throws(() => log.append(actionEvent(getRequest)), { name: 'AuditError', code: 'closed' });
  assert.throws(() => log.checkpoint(), { name: 'AuditError', code: 'closed' });
  log.close();
  const found = await verifyLog(directory);
  assert.deepEqual([found.ok, found.closed, found.records], [true, false, 1]);
});

test('when the disk takes only a part of a record, that throws, and so does every later append', async (t) => {
  const directory = scratch(t);
  // The kernel refuses to let the file grow beyond the limit: the last write that crosses it comes back short.
  const child = spawnSync('/bin/sh', [
    '-c',
    'ulimit -f 24; exec "$0" "$@"',
    process.execPath,
    ...script(`
      const log = support.openLog(process.argv[1]);
      let written = 0;
      try { for (;;) { log.append(${EVENT}); written += 1; } } catch (error) { console.log(written, error.code); }
      try { log.append(${EVENT}); } catch (error) { console.log(error.code); }
      log.close();`),
    directory,
  ]);
  const [first = '', second] = child.stdout.toString().trim().split('\n');
  const [written, code] = first.split(' ');
  assert.equal(code, 'write', child.stderr.toString());
  assert.equal(second, 'closed');
  assert.ok(Number(written) > 2);
  openLog(directory).close();
  const entries: LogEntry[] = [];
  for await (const entry of readLog(directory)) entries.push(entry);
  assert.equal(entries.filter(({ record }) => record.class_uid === 4002).length, Number(written));
  assert.ok((await titles(directory)).includes('Unfinished record set aside'));
  assert.equal((await verifyLog(directory)).ok, true);
});

/** Leaves a log as a crash would: nothing signed, nothing flushed, the lock gone. */
function abandon(log: ReturnType<typeof openLog>, directory: string): void {
  closeSync(descriptorOf(join(directory, 'events.jsonl')));
  assert.throws(() => log.append(actionEvent(getRequest)), { code: 'write' });
  log.close();
}

function openAndAbandon(directory: string): void {
  abandon(openLog(directory), directory);
}

function descriptorOf(path: string): number {
  const found = readdirSync('/proc/self/fd').find((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path;
    } catch {
      return false;
    }
  });
  assert.ok(found !== undefined);
  return Number(found);
}
