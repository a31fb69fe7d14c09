import { type KeyObject, randomUUID } from 'node:crypto';
import { fdatasyncSync } from 'node:fs';
import { AuditError, messageOf } from './error.ts';
import type { Event } from './event.ts';
import { writeWhole } from './files.ts';
import { CHECKPOINT_MILLISECONDS, CHECKPOINT_RECORDS, RECORD_BYTES } from './limits.ts';
import { hasSecretShape } from './mask.ts';
import { toRecord } from './ocsf/map.ts';
import type { LogEntry, RecordBody } from './ocsf/record.ts';
import { charactersIn, fit } from './ocsf/text.ts';
import { type Link, type Sealed, seal } from './proof/chain.ts';
import { type Head, signCheckpoint } from './proof/checkpoint.ts';
import { leafHash, type MerkleTree } from './proof/merkle.ts';
import { type Verifier, verifierOf } from './proof/note.ts';
import { type OpenedLog, openFiles } from './recover.ts';

export interface AuditLogOptions {
  /** Where the log lives: made, or continued. One log a directory, 0700, outside the sandbox's reach. */
  readonly directory: string;
  /** Letters, digits, `.`, `_`, `-`; names the log's origin, `nemoclaw.audit/<sandbox>`. */
  readonly sandbox: string;
  /** Ed25519 private key; see {@link loadSigningKey}. A log keeps the key that it was started with. */
  readonly signingKey: KeyObject;
  /** Milliseconds since 1970; for tests. */
  readonly now?: () => number;
}

const SANDBOX_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/**
 * The append-only, tamper-evident log of one sandbox.
 *
 * A record is in the kernel's hands when `append` returns (a crash of this process cannot lose it), on the disk and
 * under a signed tree head within {@link CHECKPOINT_RECORDS} records or {@link CHECKPOINT_MILLISECONDS} ms. Any
 * failure to write poisons the log: that call and every later one throw, so that nothing more is let happen.
 */
export class AuditLog {
  readonly #files: OpenedLog;
  readonly #stamp: { readonly sandbox: string; readonly origin: string; readonly chain: string };
  readonly #verifier: Verifier;
  readonly #signingKey: KeyObject;
  readonly #now: () => number;
  readonly #tree: MerkleTree;
  readonly #firstSequence: number;
  #link: Link | undefined;
  #head: Head | undefined;
  #correlations = 0;
  #timer: NodeJS.Timeout | undefined;
  #state: 'open' | 'closed' | 'failed' = 'open';

  /** @internal Use {@link AuditLog.open}. */
  private constructor(options: AuditLogOptions, verifier: Verifier, files: OpenedLog) {
    this.#files = files;
    this.#verifier = verifier;
    this.#signingKey = options.signingKey;
    this.#now = options.now ?? Date.now;
    this.#tree = files.tree;
    this.#link = files.link;
    this.#head = files.head;
    this.#firstSequence = files.tree.size + 1;
    this.#stamp = { sandbox: options.sandbox, origin: verifier.name, chain: files.chain ?? randomUUID() };
  }

  /**
   * Starts the log of a directory, or continues it: everything in it is checked first, what a crash left unfinished is
   * set aside in a `torn-*` file, and both that and a log not closed cleanly go on record as findings.
   *
   * @throws AuditError `locked` while another writer has it; `corrupt` when it does not verify; `unsafe` when its files
   *   are not private; `invalid` for an unusable name or key.
   */
  static open(options: AuditLogOptions): AuditLog {
    if (!SANDBOX_NAME.test(options.sandbox))
      throw new AuditError(
        'invalid',
        'a sandbox name is 1 to 128 letters, digits, ".", "_" or "-", not starting with a sign',
      );
    if (options.signingKey.type !== 'private')
      throw new AuditError('invalid', 'the audit log needs a private key to sign with; see loadSigningKey()');
    const verifier = verifierOf(`nemoclaw.audit/${options.sandbox}`, options.signingKey);
    const files = openFiles(options.directory, verifier);
    const log = new AuditLog(options, verifier, files);
    try {
      log.#start();
      return log;
    } catch (error) {
      log.#release();
      throw error;
    }
  }

  /**
   * Writes the record of an event. When this returns the record is written; when it throws the action must not happen.
   *
   * @throws AuditError `write` when the record cannot be made or written, `closed` after that or after `close`.
   */
  append(event: Event): LogEntry {
    this.#demandOpen();
    const sealed = this.#seal(event);
    const line = Buffer.from(`${sealed.line}\n`);
    this.#orPoison(() => writeWhole(this.#files.events, line));
    this.#tree.append(leafHash(line.subarray(0, -1)));
    this.#link = sealed.link;
    if (this.#tree.size - (this.#head?.size ?? 0) >= CHECKPOINT_RECORDS) this.checkpoint();
    else this.#timer ??= setTimeout(() => this.#checkpointInTime(), CHECKPOINT_MILLISECONDS).unref();
    return { sequence: this.#tree.size, record: sealed.record };
  }

  /** A correlation that no record of this log has yet. */
  nextCorrelation(): string {
    this.#correlations += 1;
    return `${this.#firstSequence}.${this.#correlations}`;
  }

  /**
   * Makes all records durable and signs the tree head now. Does nothing when there is nothing new.
   *
   * @throws AuditError `write` or `closed`, as `append`.
   */
  checkpoint(): void {
    this.#demandOpen();
    if (this.#tree.size !== this.#head?.size) this.#sign('open');
  }

  /**
   * Signs the final head, which says that the log was closed, and lets go of the directory. After a failed write only
   * the latter. Closing twice does nothing.
   *
   * @throws AuditError `write` when the final head cannot be written; the directory is free all the same.
   */
  close(): void {
    try {
      if (this.#state === 'open') this.#sign('closed');
    } finally {
      this.#release();
    }
  }

  #start(): void {
    const { head, findings } = this.#files;
    if (head === undefined || head.state === 'closed') this.#sign('open');
    for (const finding of findings) this.append({ type: 'finding', ...finding });
    this.checkpoint();
    this.#files.settle();
  }

  #seal(event: Event): Sealed {
    const { chain } = this.#stamp;
    const authority = `${this.#verifier.name}+${this.#verifier.id}`;
    try {
      const stamp = { ...this.#stamp, sequence: this.#tree.size + 1, time: this.#time() };
      const body = toRecord(event, stamp);
      const sealBody = (candidate: RecordBody) =>
        // What identifies the record is not the event's to choose, and never shortened or masked.
        seal({ ...candidate, metadata: body.metadata }, chain, authority, this.#link);
      const sealed = charactersIn(body) > RECORD_BYTES ? undefined : sealBody(body);
      if (sealed !== undefined && !isOversized(sealed) && !hasSecretShape(sealed.line)) return sealed;
      return sealBody(fit(body, (candidate) => !isOversized(sealBody(candidate))));
    } catch (error) {
      if (error instanceof AuditError) throw error;
      throw new AuditError('write', `the event cannot be recorded: ${messageOf(error)}`, error);
    }
  }

  #time(): number {
    const time = this.#now();
    if (Number.isSafeInteger(time) && time >= 0) return time;
    throw new AuditError('write', `the clock says ${time}, which is no time`);
  }

  #sign(state: Head['state']): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#orPoison(() => {
      // A head must never cover records that a power failure could still take back.
      fdatasyncSync(this.#files.events);
      const head: Head = {
        ordinal: (this.#head?.ordinal ?? 0) + 1,
        size: this.#tree.size,
        root: this.#tree.root(),
        state,
        time: this.#time(),
      };
      writeWhole(this.#files.checkpoints, Buffer.from(signCheckpoint(head, this.#verifier, this.#signingKey)));
      fdatasyncSync(this.#files.checkpoints);
      this.#head = head;
    });
  }

  #checkpointInTime(): void {
    this.#timer = undefined;
    try {
      if (this.#state === 'open') this.checkpoint();
    } catch (error) {
      // There is no caller to tell: the next append throws.
      if (!(error instanceof AuditError)) throw error;
    }
  }

  #orPoison(write: () => void): void {
    try {
      write();
    } catch (error) {
      this.#state = 'failed';
      throw new AuditError('write', `the audit log cannot be written: ${messageOf(error)}`, error);
    }
  }

  #demandOpen(): void {
    if (this.#state === 'closed') throw new AuditError('closed', 'the audit log is closed; open it again to go on');
    if (this.#state === 'failed')
      throw new AuditError(
        'closed',
        'an earlier write to the audit log failed; make room or mend the disk, then start again',
      );
  }

  #release(): void {
    clearTimeout(this.#timer);
    if (this.#state === 'open') this.#state = 'closed';
    this.#files.release();
  }
}

function isOversized(sealed: Sealed): boolean {
  return Buffer.byteLength(sealed.line) > RECORD_BYTES;
}
