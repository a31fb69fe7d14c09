import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import fc from 'fast-check';
import { table } from './table.ts';

test('columns line up, and the flexible one gives way', () => {
  const text = stripVTControlCharacters(table(['a', 'object', 'z'], [['1', 'x'.repeat(99), 'end']], 1, 40));
  const [header, row] = text.split('\n');
  assert.equal(row?.length, 40);
  assert.equal(row?.indexOf('end'), header?.indexOf('z'));
  assert.match(row ?? '', /x…/);
});

test('nothing in a cell can act on the terminal or add a line', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary' }), { minLength: 3, maxLength: 3 }), (row) => {
      const plain = stripVTControlCharacters(table(['a', 'b', 'c'], [row], 1, 200));
      assert.equal(plain.split('\n').length, 2);
      assert.doesNotMatch(plain.replace('\n', ''), /\p{Cc}/u);
    }),
  );
});
