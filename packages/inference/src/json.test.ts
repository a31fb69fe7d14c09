import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseJson } from './json.ts';

test('agrees with JSON.parse where nothing is too deep', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 5 }), (text) => {
      assert.deepEqual(parseJson(text, 64), JSON.parse(text));
    }),
  );
});

test('depth is counted outside strings only, and before parsing', () => {
  assert.deepEqual(parseJson('{"a":"[[[[\\"[[["}', 1), { a: '[[[["[[[' });
  assert.throws(() => parseJson('[[]]', 1), /more than 1 levels/);
  assert.throws(() => parseJson('['.repeat(1_000_000), 64), /more than 64 levels/);
  assert.throws(() => parseJson('"', 64), SyntaxError);
});
