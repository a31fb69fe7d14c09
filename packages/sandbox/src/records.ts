/** The longest record that openshell-init writes (its buffer). */
export const MAX_RECORD_BYTES = 64 << 10;

export interface NativeRecord {
  readonly kind: number;
  readonly payload: Buffer;
}

/** Cuts the stream from openshell-init into records: u32 length of the rest, u32 kind, payload. */
export class RecordReader {
  #rest: Buffer = Buffer.alloc(0);

  /** @throws RangeError on an impossible length */
  push(bytes: Buffer): NativeRecord[] {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const records: NativeRecord[] = [];
    let at = 0;
    while (at + 8 <= all.length) {
      const length = all.readUInt32LE(at);
      if (length < 4 || length > MAX_RECORD_BYTES) throw new RangeError('a record of openshell-init is malformed');
      if (at + 4 + length > all.length) break;
      records.push({ kind: all.readUInt32LE(at + 4), payload: all.subarray(at + 8, at + 4 + length) });
      at += 4 + length;
    }
    this.#rest = all.subarray(at);
    return records;
  }
}
