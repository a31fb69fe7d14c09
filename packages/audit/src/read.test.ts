import assert from 'node:assert/strict';
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { RECORD_BYTES } from './limits.ts';
import { readLog } from './read.ts';
import { actionEvent, getRequest, openLog, scratch } from './test-support.ts';
import { verifyLog } from './verify.ts';

async function sequences(directory: string): Promise<number[]> {
  const found: number[] = [];
  for await (const { sequence } of readLog(directory)) found.push(sequence);
  return found;
}

test('reads all records of a closed log, and of one being written', async (t) => {
  const directory = scratch(t);
  const log = openLog(directory);
  assert.deepEqual(await sequences(directory), []);
  for (let index = 0; index < 1000; index += 1) log.append(actionEvent(getRequest));
  assert.equal((await sequences(directory)).length, 1000);
  log.close();
  const found = await sequences(directory);
  assert.deepEqual([found.length, found[0], found[999]], [1000, 1, 1000]);
});

test('an unfinished last line is not returned; nonsense is an error', async (t) => {
  const directory = scratch(t);
  const log = openLog(directory);
  log.append(actionEvent(getRequest));
  log.close();
  const events = join(directory, 'events.jsonl');
  appendFileSync(events, '{"half":');
  assert.deepEqual(await sequences(directory), [1]);
  appendFileSync(events, '1}\n');
  await assert.rejects(sequences(directory), { name: 'AuditError', code: 'corrupt' });
});

test('lines longer than a record can be are refused, by reader and verifier', async (t) => {
  const directory = scratch(t);
  const log = openLog(directory);
  log.append(actionEvent(getRequest));
  log.close();
  appendFileSync(join(directory, 'events.jsonl'), 'x'.repeat(RECORD_BYTES + 1));
  await assert.rejects(sequences(directory), /longer than 65536 bytes/);
  const found = await verifyLog(directory);
  assert.deepEqual([found.ok, found.firstBad?.line], [false, 2]);
});

test('what is no log is refused', async (t) => {
  const directory = scratch(t);
  await assert.rejects(sequences(directory), { code: 'corrupt' });
  await assert.rejects(verifyLog(directory), { code: 'corrupt' });
  for (const name of ['events.jsonl', 'checkpoints', 'key.pub']) mkdirSync(join(directory, name));
  await assert.rejects(verifyLog(directory), { code: 'corrupt' });
  await assert.rejects(verifyLog(directory, { publicKey: 'nonsense' }), { code: 'invalid' });
  const empty = scratch(t);
  for (const name of ['events.jsonl', 'checkpoints', 'key.pub']) writeFileSync(join(empty, name), '');
  assert.equal((await verifyLog(empty)).ok, false);
});
