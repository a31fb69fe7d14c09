import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Action } from '@nemoclaw/policy';
import fc from 'fast-check';
import { formatRecord, neutralise } from './format.ts';
import { RECORD_BYTES } from './limits.ts';
import type { LogEntry } from './ocsf/record.ts';
import { readLog } from './read.ts';
import { actionEvent, denied, getRequest, openLog, scratch, subject } from './test-support.ts';
import { verifyLog } from './verify.ts';

const NASTY = [
  'a\nb',
  'a\r\n{"class_uid":1}',
  '\u001b[2J\u001b]0;title\u0007',
  '\u009b31m',
  'a\u2028b\u2029c',
  '\u202eevil\u2066',
  '\ud800',
  '\u0000',
  '__proto__',
  '"}]}\\',
  '\u200b\ufeff',
];

/** Everything that an agent or a remote can choose, set to the same text. */
function hostileActions(text: string): Action[] {
  const who = {
    sandbox: 'demo',
    session: text,
    processes: [{ pid: 1, executable: text, ancestors: [text], commandLine: [text, text] }],
  };
  return [
    { kind: 'process.exec', subject: who, path: text, argv: [text], cwd: text },
    { kind: 'file.write', subject: who, path: text, operation: 'rename', target: text },
    { kind: 'dns.query', subject: who, name: text, type: text },
    { kind: 'net.datagram', subject: who, address: text, port: 1, protocol: text },
    { ...getRequest, subject: who, method: text, path: text, host: text } as Action,
    {
      kind: 'inference.request',
      subject: who,
      provider: text,
      model: text,
      requestedModel: text,
      streaming: true,
      tools: [text],
    },
    { kind: 'tool.call', subject: who, tool: text, via: text, callId: text, arguments: { [text]: text } },
  ];
}

const INERT = /^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]*$/u;

test('whatever a text holds, one record is one inert line, on disk and on screen', async (t) => {
  const directory = scratch(t);
  const log = openLog(directory);
  let records = 0;
  for (const text of NASTY) {
    for (const action of hostileActions(text)) {
      log.append(
        actionEvent(action, { decision: { ...denied, reason: text }, outcome: { status: 'failure', detail: text } }),
      );
      records += 1;
    }
    log.append({ type: 'finding', title: text, severity: 'low', message: text });
    log.append({ type: 'config', subject: 'host', message: text, facts: { [text]: text } });
    log.append({ type: 'lifecycle', activity: 'start', message: text, command: [text] });
    records += 3;
  }
  log.close();
  const lines = readFileSync(join(directory, 'events.jsonl'), 'utf8').split('\n');
  assert.equal(lines.length, records + 1);
  for (const line of lines) assert.match(line, INERT);
  for await (const { record } of readLog(directory)) assert.match(formatRecord(record), INERT);
  assert.equal((await verifyLog(directory)).ok, true);
});

test('neutralised text is inert and harmless text is left alone', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 0x10ffff })).map((codes) => String.fromCodePoint(...codes)),
      (text) => INERT.test(neutralise(text)),
    ),
  );
  assert.equal(neutralise('Grüße → 日本 "x"'), 'Grüße → 日本 "x"');
  assert.equal(neutralise('\u001b[31m\n\u202e'), '\\x1b[31m\\x0a\\u{202e}');
});

test('huge fields are shortened with a marker, and the record still fits and verifies', async (t) => {
  const directory = scratch(t);
  const log = openLog(directory);
  const long = '\u0001é'.repeat(500_000);
  const many = Array.from({ length: 10_000 }, (_, index) => `${index}`.repeat(40));
  const actions: Action[] = [
    ...hostileActions(long),
    {
      kind: 'inference.request',
      subject,
      provider: 'p',
      model: 'm',
      requestedModel: 'r',
      streaming: false,
      tools: many,
    },
    {
      kind: 'process.exec',
      subject: { ...subject, processes: [{ pid: 1, ancestors: many, commandLine: many }] },
      path: '/x',
      argv: many,
    },
    {
      kind: 'tool.call',
      subject,
      tool: 't',
      callId: 'c',
      arguments: Object.fromEntries(many.map((name) => [name, name])),
    },
  ];
  for (const action of actions) log.append(actionEvent(action));
  log.append({
    type: 'config',
    subject: 'host',
    message: 'm',
    facts: Object.fromEntries(many.map((name) => [name, long.slice(0, 2_000)])),
  });
  log.close();
  const lines = readFileSync(join(directory, 'events.jsonl'), 'utf8').split('\n').slice(0, -1);
  assert.equal(lines.length, actions.length + 1);
  for (const line of lines) {
    assert.ok(Buffer.byteLength(line) <= RECORD_BYTES);
    assert.match(line, /shortened from|more\]|left out/);
  }
  assert.equal((await verifyLog(directory)).ok, true);
});

test('key shapes are masked in every field, also where no masker of its own looks', async (t) => {
  const directory = scratch(t);
  const log = openLog(directory);
  const secret = `sk-ant-${'q7Lm'.repeat(10)}`;
  for (const action of hostileActions(`/p/${secret}/x`))
    log.append(
      actionEvent(action, {
        decision: { ...denied, rule: { id: 'r', name: secret } },
        outcome: { status: 'failure', detail: secret },
      }),
    );
  log.append({ type: 'config', subject: 'provider', message: secret, facts: { [secret]: secret } });
  log.close();
  const text = readFileSync(join(directory, 'events.jsonl'), 'utf8');
  assert.equal(text.includes('q7Lm'), false);
  assert.equal((await verifyLog(directory)).ok, true);
});

test('a sandbox named like a key still has a log that verifies', async (t) => {
  const directory = scratch(t);
  const log = openLog(directory, 'sk-test-abcdefgh');
  log.append(actionEvent(getRequest));
  log.close();
  assert.equal((await verifyLog(directory)).ok, true);
});

test('an event that cannot be recorded throws, writes nothing, and the log goes on', async (t) => {
  const directory = scratch(t);
  const log = openLog(directory);
  const trap = Object.defineProperty({}, 'x', {
    enumerable: true,
    get() {
      throw new Error('no');
    },
  });
  const bad: Action = { kind: 'tool.call', subject, tool: 't', callId: 'c', arguments: trap };
  assert.throws(() => log.append(actionEvent(bad)), { name: 'AuditError', code: 'write' });
  assert.equal(log.append(actionEvent(getRequest)).sequence, 1);
  log.close();
  const entries: LogEntry[] = [];
  for await (const entry of readLog(directory)) entries.push(entry);
  assert.equal(entries.length, 1);
});
