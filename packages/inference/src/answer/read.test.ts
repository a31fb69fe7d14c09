import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_EVENT_CHARS } from '../limits.ts';
import type { Delta } from './delta.ts';
import { readAnswer } from './read.ts';

async function read(
  chunks: Iterable<string | Uint8Array>,
  options: { events?: boolean; limit?: number } = {},
): Promise<Delta[]> {
  const body = (async function* () {
    for (const chunk of chunks) yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
  })();
  const answer = { status: 200, events: options.events ?? true, body };
  const deltas: Delta[] = [];
  for await (const delta of readAnswer(answer, { used: 0, limit: options.limit ?? 1e9 })) deltas.push(delta);
  return deltas;
}

const STOP = 'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n';

test('comments, unknown fields and every line ending are as the format says', async () => {
  const word = '{"choices":[{"delta":{"content":"a"}}]}';
  const deltas = await read([
    `\ufeff: hello\nevent: x\nid: 1\nretry: 5\nfoo: bar\ndata:${word}\r\n\r\ndata: ${word}\r\r`,
    STOP,
  ]);
  assert.deepEqual(
    deltas.map((delta) => delta.text ?? delta.finish),
    ['a', 'a', 'stop'],
  );
});

test('what follows [DONE] is not read', async () => {
  assert.deepEqual(await read(['data: [DONE]\n\n', 'data: {"choices":[{"delta":{"content":"late"}}]}\n\n']), []);
});

test('an event beyond the limit fails the answer, in one piece or in many', async () => {
  const long = `data: ${'x'.repeat(MAX_EVENT_CHARS + 1)}`;
  await assert.rejects(read([long]), /too long/);
  await assert.rejects(
    read(Array.from({ length: 100 }, () => `data: ${'x'.repeat(MAX_EVENT_CHARS / 64)}\n`)),
    /too long/,
  );
});

test('an answer beyond the limit fails, streamed or not', async () => {
  await assert.rejects(read([STOP, STOP], { limit: STOP.length }), /more than/);
  await assert.rejects(read(['{}', '  '], { events: false, limit: 3 }), /more than 3 bytes/);
});

test('an empty answer is not an answer', async () => {
  await assert.rejects(read([]), /stopped in the middle/);
  await assert.rejects(read([], { events: false }), /not JSON/);
});
