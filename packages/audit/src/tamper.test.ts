import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { AuditLog } from './log.ts';
import type { OcsfRecord } from './ocsf/record.ts';
import { type Link, parseRecord, seal } from './proof/chain.ts';
import { actionEvent, denied, getRequest, openLog } from './test-support.ts';
import { type Verification, type VerifyOptions, verifyLog } from './verify.ts';

/** A log of three sessions with heads in between; the last one closed. */
const RECORDS = 17;
let root: string;
let original: string;
let publicKey: string;
let events: string[];
let notes: string[];

before(() => {
  root = mkdtempSync(join(tmpdir(), 'audit-tamper-'));
  original = join(root, 'original');
  for (const records of [5, 9, 3]) {
    const log = openLog(original);
    for (let index = 0; index < records; index += 1) {
      log.append(
        actionEvent(getRequest, { correlation: log.nextCorrelation(), ...(index % 2 ? { decision: denied } : {}) }),
      );
      if (index === 3) log.checkpoint();
    }
    log.close();
  }
  publicKey = readFileSync(join(original, 'key.pub'), 'utf8');
  events = readFileSync(join(original, 'events.jsonl'), 'utf8').split('\n').slice(0, -1);
  notes = readFileSync(join(original, 'checkpoints'), 'utf8').split(/(?<=\n)(?=nemoclaw\.audit\/)/);
});

after(() => rmSync(root, { recursive: true, force: true }));

type Files = Partial<Record<'events.jsonl' | 'checkpoints' | 'key.pub', string | Uint8Array>>;

/** Checks a copy of the log in which some files are replaced. */
async function verifyWith(replaced: Files, options: VerifyOptions = { publicKey }): Promise<Verification> {
  const files: Files = {
    'events.jsonl': joined(events),
    checkpoints: notes.join(''),
    'key.pub': publicKey,
    ...replaced,
  };
  mkdirSync(join(root, 'copy'), { recursive: true });
  for (const [name, content] of Object.entries(files)) writeFileSync(join(root, 'copy', name), content);
  return await verifyLog(join(root, 'copy'), options);
}

const joined = (lines: readonly string[]) => lines.map((line) => `${line}\n`).join('');

/** Fails, names a record no later than the first one touched, and vouches for none from there on. */
function assertCaught(found: Verification, firstTouched: number): void {
  assert.equal(found.ok, false);
  assert.equal(found.closed, false);
  assert.ok(found.problems.length > 0);
  const { firstBad } = found;
  assert.ok(firstBad !== undefined && firstBad.file === 'events.jsonl');
  assert.ok(firstBad.line <= firstTouched, `${firstBad.line} ≤ ${firstTouched}: ${firstBad.reason}`);
  assert.ok(found.covered < firstTouched);
}

const anyLine = fc.integer({ min: 0, max: RECORDS - 1 });
const RUNS = { numRuns: 80 };

describe('an untouched log', () => {
  test('verifies', async () => {
    const found = await verifyWith({});
    assert.equal(events.length, RECORDS);
    assert.equal(notes.length, 8);
    assert.deepEqual(
      {
        ok: found.ok,
        closed: found.closed,
        records: found.records,
        covered: found.covered,
        uncovered: found.uncovered,
      },
      { ok: true, closed: true, records: RECORDS, covered: RECORDS, uncovered: 0 },
    );
    assert.equal(found.key, 'pinned');
    assert.equal(found.firstBad, undefined);
  });
});

describe('records', () => {
  test('an edited byte is caught, at its record', async () => {
    await fc.assert(
      fc.asyncProperty(anyLine, fc.nat(), fc.integer({ min: 1, max: 255 }), async (index, place, change) => {
        const lines = events.map((line) => Buffer.from(line));
        const line = lines[index] ?? Buffer.alloc(0);
        const at = place % line.length;
        line[at] = (line[at] ?? 0) ^ change;
        const found = await verifyWith({
          'events.jsonl': Buffer.concat(lines.flatMap((each) => [each, Buffer.from('\n')])),
        });
        assertCaught(found, index + 1);
        assert.equal(found.firstBad?.line, index + 1);
      }),
      RUNS,
    );
  });

  test('a deleted, duplicated or foreign line is caught, at its place', async () => {
    const foreign = fc.oneof(
      fc.constant(''),
      fc.constant('{}'),
      fc.json(),
      anyLine.map((index) => `copy:${index}`),
    );
    await fc.assert(
      fc.asyncProperty(anyLine, fc.boolean(), foreign, async (index, remove, text) => {
        const copy = /^copy:(\d+)$/.exec(text)?.[1];
        const line = copy === undefined ? text.replaceAll('\n', '') : (events[Number(copy)] ?? '');
        const lines = remove ? events.toSpliced(index, 1) : events.toSpliced(index + 1, 0, line);
        const found = await verifyWith({ 'events.jsonl': joined(lines) });
        assertCaught(found, lines.findIndex((each, at) => each !== events[at]) + 1 || lines.length + 1);
      }),
      RUNS,
    );
  });

  test('two swapped lines are caught, at the first', async () => {
    await fc.assert(
      fc.asyncProperty(anyLine, anyLine, async (a, b) => {
        fc.pre(a !== b);
        const lines = events.with(a, events[b] ?? '').with(b, events[a] ?? '');
        const found = await verifyWith({ 'events.jsonl': joined(lines) });
        assertCaught(found, Math.min(a, b) + 1);
        assert.equal(found.firstBad?.line, Math.min(a, b) + 1);
      }),
      RUNS,
    );
  });

  test('an end cut off at any byte is caught', async () => {
    const whole = Buffer.from(joined(events));
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), async (length) => {
        const found = await verifyWith({ 'events.jsonl': whole.subarray(0, length) });
        assertCaught(found, whole.subarray(0, length).filter((byte) => byte === 0x0a).length + 1);
      }),
      RUNS,
    );
  });

  test('an edit with the whole chain after it made anew, but no key, is caught', async () => {
    await fc.assert(
      fc.asyncProperty(anyLine, async (index) => {
        const found = await verifyWith({ 'events.jsonl': joined(rechain(index)) });
        assertCaught(found, index + 1);
      }),
      { numRuns: RECORDS * 2 },
    );
  });

  test('an edited record with a fitting fingerprint of its own is caught', async () => {
    for (let index = 0; index < RECORDS; index += 1) {
      const forged = rechain(index)[index] ?? '';
      assertCaught(await verifyWith({ 'events.jsonl': joined(events.with(index, forged)) }), index + 1);
    }
  });
});

/** What someone who knows the format but not the key can do: change one record and make the rest consistent again. */
function rechain(index: number): string[] {
  let link: Link | undefined;
  return events.map((line, position) => {
    const record = parseRecord(Buffer.from(line)) as OcsfRecord;
    const { attestation_list: list, ...body } = record;
    const changed = position === index ? { ...body, message: 'nothing happened' } : body;
    const sealed = seal(changed as OcsfRecord, list[0].chain_uid, list[0].authority_uid, link);
    link = sealed.link;
    return sealed.line;
  });
}

describe('checkpoints', () => {
  test('rebuilding without a change gives the very same lines', () => {
    assert.deepEqual(rechain(-1), events);
  });

  test('any flipped byte is caught', async () => {
    const [first = '', second = '', ...others] = notes;
    const whole = Buffer.from(second);
    const rest = others.join('');
    for (let at = 0; at < whole.length; at += 1) {
      const changed = Buffer.from(whole);
      changed[at] = (changed[at] ?? 0) ^ 0x04;
      const found = await verifyWith({ checkpoints: Buffer.concat([Buffer.from(first), changed, Buffer.from(rest)]) });
      assert.equal(found.ok, false, `byte ${at}`);
    }
  });

  test('a note deleted, duplicated or moved is caught', async () => {
    const last = notes.length - 1;
    for (const [index, note] of notes.entries()) {
      const without = await verifyWith({ checkpoints: notes.toSpliced(index, 1).join('') });
      // Without the very last one the log is as it was a moment before: intact, and visibly not closed.
      assert.deepEqual([without.ok, without.closed], [index === last, false], `without ${index}`);
      const twice = await verifyWith({ checkpoints: notes.toSpliced(index, 0, note).join('') });
      assert.equal(twice.ok, false, `twice ${index}`);
      const swapped = notes.with(index, notes[(index + 1) % notes.length] ?? '').with((index + 1) % notes.length, note);
      assert.equal((await verifyWith({ checkpoints: swapped.join('') })).ok, false, `swapped ${index}`);
    }
  });

  test('an end cut off is caught, or leaves a log that is not closed', async () => {
    const whole = Buffer.from(notes.join(''));
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), async (length) => {
        const found = await verifyWith({ checkpoints: whole.subarray(0, length) });
        assert.equal(found.closed, false);
      }),
      RUNS,
    );
    assert.equal((await verifyWith({ checkpoints: '' })).ok, false);
  });

  test('garbage after the last note is caught', async () => {
    for (const garbage of ['\n', 'x', 'hello\n', '— nemoclaw.audit/demo AAAA\n', '\n\n'])
      assert.equal((await verifyWith({ checkpoints: notes.join('') + garbage })).ok, false, JSON.stringify(garbage));
  });
});

describe('keys', () => {
  test('any flipped byte of key.pub is caught', async () => {
    const bytes = Buffer.from(publicKey);
    for (let at = 0; at < bytes.length; at += 1) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 0x01;
      assert.equal((await verifyWith({ 'key.pub': changed }, {})).ok, false, `byte ${at}, own key`);
      assert.equal((await verifyWith({ 'key.pub': changed })).ok, false, `byte ${at}, pinned key`);
    }
  });

  test('a whole log made anew under another key is caught by the pinned key, and only by it', async () => {
    const directory = join(root, 'forged');
    const forger = AuditLog.open({ directory, sandbox: 'demo', signingKey: generateKeyPairSync('ed25519').privateKey });
    forger.append(actionEvent(getRequest));
    forger.close();
    const trusting = await verifyLog(directory);
    assert.deepEqual([trusting.ok, trusting.key], [true, 'self']);
    assert.equal((await verifyLog(directory, { publicKey })).ok, false);
  });

  test('the log of another sandbox under the same key is caught', async () => {
    const directory = join(root, 'other');
    const other = openLog(directory, 'other');
    for (let index = 0; index < 5; index += 1) other.append(actionEvent(getRequest));
    other.close();
    assert.equal((await verifyLog(directory, { publicKey })).ok, false);
    const lines = readFileSync(join(directory, 'events.jsonl'), 'utf8').split('\n');
    assertCaught(await verifyWith({ 'events.jsonl': joined(events.with(2, lines[2] ?? '')) }), 3);
  });
});
