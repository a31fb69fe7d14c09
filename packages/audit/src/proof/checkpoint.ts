import type { KeyObject } from 'node:crypto';
import { NOTE_BYTES } from '../limits.ts';
import type { LineReader } from '../lines.ts';
import { Flaw } from './flaw.ts';
import { decodeBase64, noteIsSigned, signNote, type Verifier } from './note.ts';

/** A tree head: what a checkpoint says. */
export interface Head {
  /** Position among the log's checkpoints, from 1: a checkpoint that is taken away leaves a gap. */
  readonly ordinal: number;
  /** Number of records covered. */
  readonly size: number;
  /** RFC 6962 root over them, 32 bytes. */
  readonly root: Uint8Array;
  /** `closed`: nothing may follow until the log is opened again, which signs an `open` head of the same size. */
  readonly state: 'open' | 'closed';
  /** When it was signed, by the writer's clock: milliseconds since 1970. */
  readonly time: number;
}

/** A head as read, with the number of its first line in the file. */
export interface ReadHead extends Head {
  readonly line: number;
}

const EXTENSION =
  /^nemoclaw\.audit head=([1-9]\d{0,15}) state=(open|closed) time=(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)$/;

/**
 * A signed checkpoint (c2sp.org/tlog-checkpoint): origin, size, root, and one extension line of ours for what the
 * format has no place for: the head's ordinal, whether the log is closed, and the time.
 */
export function signCheckpoint(head: Head, verifier: Verifier, privateKey: KeyObject): string {
  const root = Buffer.from(head.root).toString('base64');
  const time = new Date(head.time).toISOString();
  const extension = `nemoclaw.audit head=${head.ordinal} state=${head.state} time=${time}`;
  return signNote(`${verifier.name}\n${head.size}\n${root}\n${extension}\n`, verifier, privateKey);
}

function parseHead(lines: readonly string[], origin: string): Head | undefined {
  const [first, size = '', root = '', extension = ''] = lines;
  if (lines.length !== 4 || first !== origin || !/^(0|[1-9]\d{0,15})$/.test(size)) return undefined;
  const rootBytes = decodeBase64(root);
  const match = EXTENSION.exec(extension);
  if (rootBytes?.length !== 32 || match === null) return undefined;
  const [, ordinal, state, time = ''] = match;
  const milliseconds = Date.parse(time);
  if (Number.isNaN(milliseconds)) return undefined;
  return {
    ordinal: Number(ordinal),
    size: Number(size),
    root: rootBytes,
    state: state === 'closed' ? 'closed' : 'open',
    time: milliseconds,
  };
}

/** Reads a file of checkpoints, one signed note after another, checking each signature and the order of heads. */
export class CheckpointReader {
  readonly #lines: LineReader;
  readonly #verifier: Verifier;
  #line = 0;
  #held: Buffer | undefined;
  #last: ReadHead | undefined;
  #complete = 0;

  constructor(lines: LineReader, verifier: Verifier) {
    this.#lines = lines;
    this.#verifier = verifier;
  }

  /** The newest head read. */
  get last(): ReadHead | undefined {
    return this.#last;
  }

  /** Bytes of the file that complete notes take up. What follows them at the end was torn in writing. */
  get completeBytes(): number {
    return this.#complete;
  }

  /**
   * The next head, or undefined at the end of the file, or where only an unfinished note remains.
   *
   * @throws Flaw when a note is malformed, wrongly signed or out of order.
   */
  next(): ReadHead | undefined {
    const firstLine = this.#line + 1;
    const text: string[] = [];
    let bytes = 0;
    for (let line = this.#take(); ; line = this.#take()) {
      if (line === undefined) return undefined;
      if (line.length === 0) break;
      bytes += line.length;
      if (bytes > NOTE_BYTES) throw this.#flaw(firstLine, `larger than ${NOTE_BYTES} bytes`);
      text.push(line.toString('utf8'));
    }
    const signatures = this.#signatures(firstLine);
    if (signatures.length === 0) {
      if (this.#held === undefined) return undefined;
      throw this.#flaw(firstLine, 'has no signature');
    }
    const head = this.#check(text, signatures, firstLine);
    this.#last = head;
    return head;
  }

  #signatures(firstLine: number): string[] {
    const found: string[] = [];
    for (;;) {
      const end = this.#lines.offset;
      const line = this.#take();
      if (line === undefined || !line.subarray(0, 4).equals(SIGNATURE_MARK)) {
        this.#held = line;
        if (line !== undefined) this.#line -= 1;
        if (found.length > 0) this.#complete = end;
        return found;
      }
      found.push(line.toString('utf8'));
      if (found.length > 16) throw this.#flaw(firstLine, 'has more than 16 signatures');
    }
  }

  #take(): Buffer | undefined {
    const held = this.#held;
    this.#held = undefined;
    const line = held ?? this.#lines.next();
    if (line !== undefined) this.#line += 1;
    return line;
  }

  #check(text: readonly string[], signatures: readonly string[], line: number): ReadHead {
    const head = parseHead(text, this.#verifier.name);
    if (head === undefined) throw this.#flaw(line, 'is not a checkpoint of this log');
    if (!noteIsSigned(text.map((part) => `${part}\n`).join(''), signatures, this.#verifier))
      throw this.#flaw(line, `is not signed by key ${this.#verifier.name}+${this.#verifier.id}`);
    const last = this.#last;
    if (head.ordinal !== (last?.ordinal ?? 0) + 1)
      throw this.#flaw(line, `is number ${head.ordinal} where number ${(last?.ordinal ?? 0) + 1} belongs`);
    if (last === undefined) {
      if (head.size !== 0 || head.state !== 'open') throw this.#flaw(line, 'is the first and does not start the log');
    } else if (head.size < last.size) throw this.#flaw(line, 'covers fewer records than the one before it');
    else if (head.size === last.size && head.state === last.state) throw this.#flaw(line, 'repeats the one before it');
    else if (last.state === 'closed' && head.size !== last.size)
      throw this.#flaw(line, 'covers new records although the log was closed');
    return { ...head, line };
  }

  #flaw(line: number, what: string): Flaw {
    return new Flaw({ file: 'checkpoints', line, reason: `the checkpoint ${what}` });
  }
}

const SIGNATURE_MARK = Buffer.from('— ');
