import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CallAssembler } from './assemble.ts';
import { readDelta } from './delta.ts';

test('interleaved pieces come together, whatever their order among calls', () => {
  const call = fc.record({
    name: fc.stringMatching(/^[a-z]{1,8}$/),
    parts: fc.array(fc.string({ minLength: 1 }), { maxLength: 6 }),
  });
  fc.assert(
    fc.property(fc.array(call, { minLength: 1, maxLength: 5 }), fc.infiniteStream(fc.nat()), (calls, picks) => {
      const assembler = new CallAssembler();
      for (const [index, { name }] of calls.entries()) assembler.add({ index, id: `id${index}`, name });
      const rest = calls.map(({ parts }) => [...parts]);
      while (rest.some((parts) => parts.length > 0)) {
        const index = Number(picks.next().value) % rest.length;
        const piece = rest[index]?.shift();
        if (piece !== undefined) assembler.add({ index, arguments: piece });
      }
      assert.deepEqual(
        assembler.take(),
        calls.map(({ name, parts }) => ({ name, arguments: parts.join('') })),
      );
    }),
  );
});

test('without an index: by id, then by order', () => {
  const assembler = new CallAssembler();
  assembler.add({ id: 'a', name: 'read', arguments: '{"a"' });
  assembler.add({ arguments: ':1}' });
  assembler.add({ id: 'b', name: 'write', arguments: '{' });
  assembler.add({ id: 'a', arguments: ' ' });
  assembler.add({ id: 'b', arguments: '}' });
  assert.deepEqual(
    assembler.take().map((call) => [call.name, call.arguments]),
    [
      ['read', '{"a":1} '],
      ['write', '{}'],
    ],
  );
});

test('a call that changes its name is defective', () => {
  const assembler = new CallAssembler();
  assembler.add({ index: 0, name: 'read' });
  assembler.add({ index: 0, name: 'plugins' });
  assert.equal(assembler.take()[0]?.defect, 'two-names');
});

test('a name that is repeated with every piece is one name', () => {
  const assembler = new CallAssembler();
  assembler.add({ index: 0, id: 'a', name: 'read', arguments: '{' });
  assembler.add({ index: 0, id: 'a', name: 'read', arguments: '}' });
  assert.deepEqual(assembler.take(), [{ name: 'read', arguments: '{}' }]);
});

test('a chunk of any shape is read without an error', () => {
  const key = fc.constantFrom(
    'choices',
    'delta',
    'message',
    'content',
    'tool_calls',
    'function',
    'usage',
    'error',
    'index',
    '__proto__',
  );
  const value = fc.letrec((tie) => ({
    any: fc.oneof({ depthSize: 'small' }, fc.jsonValue(), fc.array(tie('any')), fc.dictionary(key, tie('any'))),
  })).any;
  fc.assert(
    fc.property(value, (chunk) => {
      const { calls } = readDelta(JSON.parse(JSON.stringify(chunk ?? null)));
      assert.ok(Array.isArray(calls));
    }),
    { numRuns: 100 },
  );
});
