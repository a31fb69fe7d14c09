import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { openClawTurn, readTurn } from './turn.ts';

test('the envelope of `agent exec --json`', () => {
  assert.deepEqual(readTurn('{"ok":true,"final":"hello","toolSummary":{"calls":2}}'), { text: 'hello', toolCalls: 2 });
  assert.deepEqual(readTurn('note\n{"payloads":[{"text":"a"},{"text":"b"}]}'), { text: 'a\nb', toolCalls: 0 });
});

test('whatever else OpenClaw prints is not an answer, and not an error of ours', () => {
  for (const text of ['', 'no json', '{', '[]', '{"ok":false}']) assert.equal(readTurn(text), undefined);
  fc.assert(fc.property(fc.string(), (text) => void readTurn(text)));
  fc.assert(fc.property(fc.json(), (text) => void readTurn(text)));
});

test('no key is in what the sandbox is given, and the message is one argument', () => {
  const message = '--help "; rm -rf / #';
  const turn = openClawTurn('/agents/openclaw', message);
  assert.deepEqual(turn.command.slice(-2), ['--', message], 'and never taken for an option');
  assert.doesNotMatch(JSON.stringify([turn.env, turn.files]), /sk-|api\.openai|Bearer/);
});
