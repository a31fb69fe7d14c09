import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { StreamMask } from './secret.ts';

const SECRET = 'aab-aab-secret';

test('however a text is cut, the secret never comes out and the rest does', () => {
  const piece = fc.oneof(fc.constantFrom(SECRET, 'aab-', 'a', '-', SECRET.slice(0, -1)), fc.string({ maxLength: 8 }));
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), fc.array(fc.nat(200), { maxLength: 12 }), (pieces, places) => {
      const text = pieces.join('');
      const mask = new StreamMask(SECRET);
      let out = '';
      let from = 0;
      for (const at of places.toSorted((a, b) => a - b)) {
        out += mask.push(text.slice(from, at));
        from = Math.max(from, at);
      }
      out += mask.push(text.slice(from));
      const rest = mask.flush();
      assert.ok(!(out + rest).includes(SECRET));
      const whole = text.replaceAll(SECRET, '***');
      assert.ok(rest === '***' ? whole.startsWith(out) : out + rest === whole);
    }),
    { numRuns: 500 },
  );
});

test('ordinary text is not held back', () => {
  const mask = new StreamMask(SECRET);
  assert.equal(mask.push('hello'), 'hello');
  assert.equal(new StreamMask(undefined).push(SECRET), SECRET);
});
