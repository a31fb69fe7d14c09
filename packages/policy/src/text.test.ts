import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { limits } from './limits.ts';
import { closest, enumerate, hasUnprintable, printable } from './text.ts';

test('suggests what was probably meant', () => {
  const keys = ['read_only', 'read_write', 'include_workdir'];
  assert.equal(closest('readOnly', keys), 'read_only');
  assert.equal(closest('raed_only', keys), 'read_only');
  assert.equal(closest('read-write', keys), 'read_write');
  assert.equal(closest('network', keys), undefined);
  assert.equal(closest('x'.repeat(10_000), keys), undefined);
});

test('printable text holds nothing that could forge a line', () => {
  assert.equal(printable('a\nb\u001b[31m\u202e'), 'a\\u{a}b\\u{1b}[31m\\u{202e}');
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 1000 }), (text) => {
      assert.ok(!hasUnprintable(printable(text)));
      assert.ok(printable(text.repeat(5)).length <= (limits.quotedLength + 1) * 8);
    }),
  );
});

test('enumerations are cut', () => {
  assert.equal(enumerate(['a', 'b']), 'a, b');
  assert.match(enumerate(Array.from({ length: 9 }, String)), /and 4 more$/);
});
