import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import {
  chmodSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { CHECKPOINT_MILLISECONDS, CHECKPOINT_RECORDS } from './limits.ts';
import { AuditLog } from './log.ts';
import { actionEvent, getRequest, key, openLog, scratch } from './test-support.ts';
import { verifyLog } from './verify.ts';

const heads = (directory: string) => readFileSync(join(directory, 'checkpoints'), 'utf8').split('head=').length - 1;

test('records are on disk when append returns, one line each, in order', async (t) => {
  const directory = join(scratch(t), 'audit', 'demo');
  const log = openLog(directory);
  for (let sequence = 1; sequence <= 3; sequence += 1) {
    const entry = log.append(actionEvent(getRequest));
    assert.equal(entry.sequence, sequence);
    const lines = readFileSync(join(directory, 'events.jsonl'), 'utf8').split('\n');
    assert.equal(lines.length, sequence + 1);
    assert.deepEqual(JSON.parse(lines[sequence - 1] ?? ''), JSON.parse(JSON.stringify(entry.record)));
  }
  const live = await verifyLog(directory);
  assert.deepEqual([live.ok, live.closed, live.covered, live.uncovered], [true, false, 0, 3]);
  log.close();
  const closed = await verifyLog(directory);
  assert.deepEqual([closed.ok, closed.closed, closed.covered, closed.uncovered], [true, true, 3, 0]);
});

test('everything is private', (t) => {
  const directory = join(scratch(t), 'audit', 'demo');
  openLog(directory).close();
  assert.equal(statSync(directory).mode & 0o777, 0o700);
  assert.equal(statSync(join(directory, '..')).mode & 0o777, 0o700);
  const files = readdirSync(directory);
  assert.deepEqual(files.toSorted(), ['checkpoints', 'events.jsonl', 'key.pub', 'lock']);
  for (const file of files) assert.equal(statSync(join(directory, file)).mode & 0o777, 0o600, file);
});

test('a log is continued: sequence, chain and correlations go on', async (t) => {
  const directory = scratch(t);
  const seen = new Set<string>();
  for (let session = 0; session < 3; session += 1) {
    const log = openLog(directory);
    for (let index = 0; index < 4; index += 1) {
      const correlation = log.nextCorrelation();
      assert.equal(seen.has(correlation), false);
      seen.add(correlation);
      assert.equal(log.append(actionEvent(getRequest, { correlation })).sequence, session * 4 + index + 1);
    }
    log.close();
  }
  const found = await verifyLog(directory);
  assert.deepEqual([found.ok, found.closed, found.records], [true, true, 12]);
});

test('a head is signed after so many records, and after so much time', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const directory = scratch(t);
  const log = openLog(directory);
  assert.equal(heads(directory), 1);
  for (let index = 1; index < CHECKPOINT_RECORDS; index += 1) log.append(actionEvent(getRequest));
  assert.equal(heads(directory), 1);
  log.append(actionEvent(getRequest));
  assert.equal(heads(directory), 2);
  t.mock.timers.tick(CHECKPOINT_MILLISECONDS);
  assert.equal(heads(directory), 2);
  log.append(actionEvent(getRequest));
  t.mock.timers.tick(CHECKPOINT_MILLISECONDS - 1);
  assert.equal(heads(directory), 2);
  t.mock.timers.tick(1);
  assert.equal(heads(directory), 3);
  log.checkpoint();
  assert.equal(heads(directory), 3);
  log.close();
  assert.equal(heads(directory), 4);
  log.close();
  assert.equal(heads(directory), 4);
});

test('a closed log takes no more', (t) => {
  const log = openLog(scratch(t));
  log.close();
  assert.throws(() => log.append(actionEvent(getRequest)), { name: 'AuditError', code: 'closed' });
  assert.throws(() => log.checkpoint(), { name: 'AuditError', code: 'closed' });
});

test('unusable options are refused', (t) => {
  const directory = scratch(t);
  for (const sandbox of ['', '.', '../x', 'a b', 'a\nb', 'a+b', 'ä', 'x'.repeat(129)])
    assert.throws(() => AuditLog.open({ directory, sandbox, signingKey: key }), { code: 'invalid' }, sandbox);
  const { publicKey } = generateKeyPairSync('ed25519');
  assert.throws(() => AuditLog.open({ directory, sandbox: 'demo', signingKey: publicKey }), { code: 'invalid' });
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  assert.throws(() => AuditLog.open({ directory, sandbox: 'demo', signingKey: ec }), { code: 'invalid' });
  assert.deepEqual(readdirSync(directory), []);
});

test('another key or sandbox cannot continue a log', (t) => {
  const directory = scratch(t);
  openLog(directory).close();
  assert.throws(() => openLog(directory, 'other'), { code: 'corrupt' });
  const { privateKey } = generateKeyPairSync('ed25519');
  assert.throws(() => AuditLog.open({ directory, sandbox: 'demo', signingKey: privateKey }), { code: 'corrupt' });
  openLog(directory).close();
});

test('files that are links, shared, or open to others are refused', (t) => {
  for (const name of ['events.jsonl', 'checkpoints', 'key.pub', 'lock']) {
    const base = scratch(t);
    const directory = join(base, 'log');
    openLog(directory).close();
    const file = join(directory, name);
    const content = readFileSync(file);
    rmSync(file);
    writeFileSync(join(base, 'elsewhere'), content, { mode: 0o600 });
    symlinkSync(join(base, 'elsewhere'), file);
    assert.throws(() => openLog(directory), { name: 'AuditError' }, `link ${name}`);
    rmSync(file);
    if (name !== 'events.jsonl' && name !== 'checkpoints') continue;
    linkSync(join(base, 'elsewhere'), file);
    assert.throws(() => openLog(directory), /hard links/, name);
    rmSync(join(base, 'elsewhere'));
    chmodSync(file, 0o644);
    assert.throws(() => openLog(directory), /chmod 600/, name);
    chmodSync(file, 0o600);
    openLog(directory).close();
  }
});

test('a directory that is a link, or open to others, is refused; an empty one is made private', (t) => {
  const base = scratch(t);
  mkdirSync(join(base, 'open'), { mode: 0o755 });
  chmodSync(join(base, 'open'), 0o755);
  openLog(join(base, 'open')).close();
  assert.equal(statSync(join(base, 'open')).mode & 0o777, 0o700);
  symlinkSync(join(base, 'open'), join(base, 'link'));
  assert.throws(() => openLog(join(base, 'link')), { code: 'unsafe' });
  chmodSync(join(base, 'open'), 0o750);
  assert.throws(() => openLog(join(base, 'open')), /chmod 700/);
});

test('a clock that gives no time stops the log from recording nonsense', (t) => {
  let time = 1000;
  const log = AuditLog.open({ directory: scratch(t), sandbox: 'demo', signingKey: key, now: () => time });
  time = Number.NaN;
  assert.throws(() => log.append(actionEvent(getRequest)), { code: 'write' });
  time = 2000;
  assert.equal(log.append(actionEvent(getRequest)).sequence, 1);
  log.close();
});
