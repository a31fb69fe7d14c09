import { AuditError, messageOf } from '../error.ts';
import { NOTE_BYTES, RECORD_BYTES } from '../limits.ts';
import { LineReader } from '../lines.ts';
import { ChainChecker } from './chain.ts';
import { CheckpointReader, type ReadHead } from './checkpoint.ts';
import { Flaw } from './flaw.ts';
import { leafHash, MerkleTree } from './merkle.ts';
import type { Verifier } from './note.ts';

/** The log's two files, open for reading, and how much of each to look at. */
export interface LogFiles {
  readonly events: { readonly fd: number; readonly bytes: number };
  readonly checkpoints: { readonly fd: number; readonly bytes: number };
}

/**
 * Checks a log record by record, in step with its checkpoints: each record against the chain, each signed head
 * against the Merkle root at its size. Memory does not grow with the log.
 */
export class LogChecker {
  readonly #records: LineReader;
  readonly #heads: CheckpointReader;
  readonly #chain: ChainChecker;
  readonly #files: LogFiles;
  readonly #tree = new MerkleTree();
  #upcoming: ReadHead | undefined;
  #last: ReadHead | undefined;

  constructor(files: LogFiles, verifier: Verifier) {
    this.#files = files;
    this.#records = new LineReader(files.events.fd, RECORD_BYTES, files.events.bytes);
    this.#heads = new CheckpointReader(
      new LineReader(files.checkpoints.fd, NOTE_BYTES, files.checkpoints.bytes),
      verifier,
    );
    this.#chain = new ChainChecker(verifier.name, `${verifier.name}+${verifier.id}`);
  }

  /** The tree over the records checked so far. */
  get tree(): MerkleTree {
    return this.#tree;
  }

  /** The newest signed head that the records bear out. */
  get head(): ReadHead | undefined {
    return this.#last;
  }

  get chain(): ChainChecker {
    return this.#chain;
  }

  /** An unfinished last line of the records, once `step` returned false. */
  get tornRecord(): Buffer {
    return this.#records.tail;
  }

  /** Bytes of complete records and of complete checkpoints. */
  get completeBytes(): { readonly events: number; readonly checkpoints: number } {
    return { events: this.#records.offset, checkpoints: this.#heads.completeBytes };
  }

  /**
   * Reads the heads that cover no record yet. To be called once, first.
   *
   * @throws Flaw
   */
  start(): void {
    this.#guard(() => {
      this.#upcoming = this.#heads.next();
      this.#meetHeads();
    });
  }

  /**
   * Checks one more record.
   *
   * @returns false at the end of the log.
   * @throws Flaw at the first thing wrong.
   */
  step(): boolean {
    return this.#guard(() => {
      const line = this.#records.next();
      if (line === undefined) {
        this.#finish();
        return false;
      }
      const sequence = this.#tree.size + 1;
      if (this.#last === undefined) throw recordFlaw(sequence, 'no signed tree head starts this log');
      if (this.#last.state === 'closed') throw recordFlaw(sequence, 'written after the log was closed');
      this.#chain.next(line);
      this.#tree.append(leafHash(line));
      this.#meetHeads();
      return true;
    });
  }

  #meetHeads(): void {
    while (this.#upcoming !== undefined && this.#upcoming.size === this.#tree.size) {
      const head = this.#upcoming;
      if (!this.#tree.root().equals(head.root)) {
        const first = (this.#last?.size ?? 0) + 1;
        throw recordFlaw(
          Math.min(first, head.size),
          `records ${first} to ${head.size} are not what tree head ${head.ordinal} was signed over`,
        );
      }
      this.#last = head;
      this.#upcoming = this.#heads.next();
    }
  }

  #finish(): void {
    if (this.#upcoming !== undefined)
      throw recordFlaw(
        this.#tree.size + 1,
        `missing: tree head ${this.#upcoming.ordinal} was signed over ${this.#upcoming.size} records`,
      );
    if (this.#last?.state === 'closed' && this.#records.tail.length > 0)
      throw recordFlaw(this.#tree.size + 1, 'written after the log was closed');
  }

  /** A line that is too long is a flaw like any other. */
  #guard<Result>(step: () => Result): Result {
    try {
      return step();
    } catch (error) {
      if (!(error instanceof AuditError)) throw error;
      throw recordFlaw(this.#tree.size + 1, messageOf(error));
    }
  }

  /** True when the checkpoints end in something that is not a whole note. */
  get tornCheckpoint(): boolean {
    return this.#heads.completeBytes < this.#files.checkpoints.bytes;
  }
}

function recordFlaw(sequence: number, reason: string): Flaw {
  return new Flaw({ file: 'events.jsonl', line: sequence, sequence, reason });
}
