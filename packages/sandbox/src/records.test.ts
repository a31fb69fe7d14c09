import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MAX_RECORD_BYTES, RecordReader } from './records.ts';

function record(kind: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt32LE(4 + payload.length, 0);
  header.writeUInt32LE(kind, 4);
  return Buffer.concat([header, payload]);
}

test('records come out whole, however the stream is cut', () => {
  const records = fc.array(fc.tuple(fc.nat(10), fc.uint8Array({ maxLength: 50 })), { maxLength: 10 });
  fc.assert(
    fc.property(records, fc.array(fc.nat(600), { maxLength: 10 }), (wanted, cuts) => {
      const stream = Buffer.concat(wanted.map(([kind, payload]) => record(kind, payload)));
      const edges = [0, ...cuts.filter((cut) => cut < stream.length).sort((a, b) => a - b), stream.length];
      const reader = new RecordReader();
      const found = edges.slice(1).flatMap((end, i) => reader.push(stream.subarray(edges[i], end)));
      assert.deepEqual(
        found.map(({ kind, payload }) => [kind, [...payload]]),
        wanted.map(([kind, payload]) => [kind, [...payload]]),
      );
    }),
  );
});

test('an impossible length is refused at once', () => {
  for (const length of [0, 3, MAX_RECORD_BYTES + 1, 0xffffffff]) {
    const bytes = Buffer.alloc(8);
    bytes.writeUInt32LE(length, 0);
    assert.throws(() => new RecordReader().push(bytes), RangeError);
  }
});
