import { readSync } from 'node:fs';
import { AuditError } from './error.ts';

const CHUNK_BYTES = 262_144;
const NEWLINE = 0x0a;

/**
 * Reads the complete lines of a growing file in order, keeping one chunk in memory. `next` returns undefined at what
 * is the end for now; called again after the file has grown, it goes on.
 */
export class LineReader {
  readonly #fd: number;
  readonly #limit: number;
  readonly #end: number;
  #position = 0;
  #offset = 0;
  #pending: Buffer = Buffer.alloc(0);
  #scanned = 0;

  /**
   * @param fd Open for reading; read by position, so its own offset stays untouched. The caller closes it.
   * @param limit Bytes of a line, without newline.
   * @param end Bytes of the file to look at; what is written beyond them is not seen.
   */
  constructor(fd: number, limit: number, end = Number.POSITIVE_INFINITY) {
    this.#fd = fd;
    this.#limit = limit;
    this.#end = end;
  }

  /** Bytes of the lines returned so far, with their newlines. */
  get offset(): number {
    return this.#offset;
  }

  /** What follows the last complete line; only whole after `next` returned undefined. */
  get tail(): Buffer {
    return this.#pending;
  }

  /**
   * The next line without its newline.
   *
   * @throws AuditError `corrupt` when a line is longer than the limit.
   */
  next(): Buffer | undefined {
    for (;;) {
      const found = this.#pending.indexOf(NEWLINE, this.#scanned);
      const length = found === -1 ? this.#pending.length : found;
      if (length > this.#limit)
        throw new AuditError('corrupt', `a line at byte ${this.#offset} is longer than ${this.#limit} bytes`);
      if (found !== -1) {
        const line = this.#pending.subarray(0, found);
        this.#pending = this.#pending.subarray(found + 1);
        this.#scanned = 0;
        this.#offset += found + 1;
        return line;
      }
      this.#scanned = this.#pending.length;
      if (!this.#fill()) return undefined;
    }
  }

  #fill(): boolean {
    const wanted = Math.min(CHUNK_BYTES, this.#end - this.#position);
    if (wanted <= 0) return false;
    const chunk = Buffer.allocUnsafe(wanted);
    const read = readSync(this.#fd, chunk, 0, wanted, this.#position);
    if (read === 0) return false;
    this.#position += read;
    const fresh = chunk.subarray(0, read);
    this.#pending = this.#pending.length === 0 ? fresh : Buffer.concat([this.#pending, fresh]);
    return true;
  }
}
