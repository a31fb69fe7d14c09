import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { couldBeTextCall } from './textcall.ts';

const CALLS = [
  '[plugins]\n{"action":"disable"}\n[END_TOOL_REQUEST]',
  '[tool:plugins] {"action":"disable"}',
  '[tool:plugins]<parameter=action>disable</parameter>',
  '[plugins]\n<parameter=action>disable</parameter></function>',
  '<function=plugins><parameter=action>disable</parameter></function>',
  '<FUNCTION=plugins></FUNCTION>',
  '<|channel|>commentary to=plugins code<|message|>{"action":"disable"}<|call|>',
  'analysis to=plugins code {"action":"disable"}',
  '<｜DSML｜tool_calls>x',
  '<tool_call>{"name":"plugins","arguments":{}}</tool_call>',
];

for (const call of CALLS) {
  test(`found: ${call.slice(0, 40)}`, () => {
    assert.ok(couldBeTextCall(call));
    assert.ok(couldBeTextCall(`\n  ${call}`));
    assert.ok(couldBeTextCall(`<think>hm</think>${call}`));
    assert.ok(couldBeTextCall(`hm</think>${call}`));
    assert.ok(couldBeTextCall(`<final>${call}</final>`));
  });
}

test('found when reasoning is put into the middle of it', () => {
  assert.ok(couldBeTextCall('[plu<think>]]\n\nx</think>gins]\n{"action":"disable"}'));
  assert.ok(couldBeTextCall('<fun<think></think>ction=plugins></function>'));
  assert.ok(couldBeTextCall('[plu<thi<think>nk>gins]\n{"action":"disable"}'));
});

for (const text of [
  '',
  'Done. The file has 3 lines.',
  'Use it like this:\n\n[section]\n{"a": 1}',
  '```toml\n[section]\nkey = 1\n```',
  '[a link](https://example.com)',
  '[1] First source\n[2] Second source',
  'Write `<function=name>` to call it.',
  '<b>bold</b> and [x]\n{y}',
  '<think>Let me see.</think>The answer is 4.',
]) {
  test(`ordinary: ${JSON.stringify(text.slice(0, 40))}`, () => assert.ok(!couldBeTextCall(text)));
}

test('hostile text takes linear time', () => {
  const pieces = ['<think>', '</think>', '<', '[a]', ' ', '\n', '[tool:', 'final to=x code ', '<think', '>'];
  const started = performance.now();
  fc.assert(
    fc.property(fc.constantFrom(...pieces), fc.constantFrom(...pieces), (first, second) => {
      couldBeTextCall(`<think>${first.repeat(20_000)}${second.repeat(20_000)}`);
      couldBeTextCall((first + second).repeat(20_000));
    }),
    { numRuns: 100 },
  );
  assert.ok(performance.now() - started < 20_000);
});
