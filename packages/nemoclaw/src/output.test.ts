import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { MAX_OUTPUT_CHARS, printable, readOutput } from './output.ts';

test('characters that are cut by chunks arrive whole', async () => {
  const bytes = Buffer.from('grüße 🦞');
  const chunks = [...bytes].map((byte) => Buffer.of(byte));
  assert.equal(await readOutput(Readable.from(chunks)), 'grüße 🦞');
  assert.equal(await readOutput(null), '');
});

test('of too much, the end is kept', async () => {
  const chunk = Buffer.alloc(1024 * 1024, 'x');
  const text = await readOutput(Readable.from([...Array.from({ length: 10 }, () => chunk), Buffer.from('end')]));
  assert.equal(text.length, MAX_OUTPUT_CHARS);
  assert.ok(text.endsWith('xend'));
});

test('what an agent says cannot act on the terminal', () => {
  assert.equal(printable('a\u001b]0;title\u0007\nb\r'), 'a\\x1b]0;title\\x07\nb\\x0d');
});
