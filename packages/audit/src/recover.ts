import { closeSync, fstatSync, fsyncSync, ftruncateSync, lstatSync, readdirSync, readSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { AuditError, messageOf } from './error.ts';
import type { FindingEvent } from './event.ts';
import { createPrivate, filesOf, openForAppending, privateDirectory, readSmall, syncDirectory } from './files.ts';
import { NOTE_BYTES, RECORD_BYTES } from './limits.ts';
import { type Lock, takeLock } from './lock.ts';
import type { Link } from './proof/chain.ts';
import { LogChecker } from './proof/checker.ts';
import type { Head } from './proof/checkpoint.ts';
import { Flaw } from './proof/flaw.ts';
import type { MerkleTree } from './proof/merkle.ts';
import type { Verifier } from './proof/note.ts';

/** A log ready to be written to. */
export interface OpenedLog {
  readonly events: number;
  readonly checkpoints: number;
  readonly tree: MerkleTree;
  /** Undefined for a new log. */
  readonly head: Head | undefined;
  /** The newest record. */
  readonly link: Link | undefined;
  readonly chain: string | undefined;
  /** What was found wrong and mended, to be recorded first. */
  readonly findings: readonly Omit<FindingEvent, 'type'>[];
  /** To be called once the findings are recorded and durable. */
  settle(): void;
  /** Lets go of files and lock; a second time does nothing. */
  release(): void;
}

/**
 * Opens a log's files for one writer, checks everything in them and mends what a crash left unfinished.
 *
 * @throws AuditError as `AuditLog.open` says.
 */
export function openFiles(directory: string, verifier: Verifier): OpenedLog {
  privateDirectory(directory);
  const paths = filesOf(directory);
  const lock = takeLock(paths.lock);
  const opened: number[] = [];
  try {
    const open = (path: string): number => {
      const fd = openForAppending(path);
      opened.push(fd);
      return fd;
    };
    demandKey(paths.key, verifier);
    const events = open(paths.events);
    const checkpoints = open(paths.checkpoints);
    syncDirectory(directory);
    const checker = checkAll(directory, { events, checkpoints }, verifier);
    const findings = mend(directory, { events, checkpoints }, checker);
    const { chain, link } = checker.chain;
    return {
      events,
      checkpoints,
      tree: checker.tree,
      head: checker.head,
      link,
      chain,
      findings,
      settle: () => settle(directory),
      release: () => release(opened, lock),
    };
  } catch (error) {
    release(opened, lock);
    if (error instanceof AuditError) throw error;
    throw new AuditError('unsafe', `cannot open the audit log in ${directory}: ${messageOf(error)}`, error);
  }
}

function release(opened: number[], lock: Lock): void {
  for (const fd of opened.splice(0)) {
    try {
      closeSync(fd);
    } catch {
      // Nothing is left to lose: what had to be durable was synced before.
    }
  }
  lock.release();
}

/** A log's key is fixed when it is started. */
function demandKey(file: string, verifier: Verifier): void {
  const text = `${verifier.text}\n`;
  if (createPrivate(file, Buffer.from(text))) return;
  if (readSmall(file, NOTE_BYTES).toString('utf8') !== text)
    throw new AuditError(
      'corrupt',
      `${file} is not the key of ${verifier.name}: the log was started under another name or signing key; use that, or another directory`,
    );
}

interface Descriptors {
  readonly events: number;
  readonly checkpoints: number;
}

function checkAll(directory: string, fds: Descriptors, verifier: Verifier): LogChecker {
  const checker = new LogChecker(
    {
      events: { fd: fds.events, bytes: fstatSync(fds.events).size },
      checkpoints: { fd: fds.checkpoints, bytes: fstatSync(fds.checkpoints).size },
    },
    verifier,
  );
  try {
    checker.start();
    while (checker.step());
    if (checker.head === undefined && checker.tornRecord.length > 0)
      throw new Flaw({ file: 'events.jsonl', line: 1, sequence: 1, reason: 'no signed tree head starts this log' });
  } catch (error) {
    if (!(error instanceof Flaw)) throw error;
    throw new AuditError(
      'corrupt',
      `the audit log in ${directory} does not verify: ${error.message}; keep it as evidence and use another directory`,
      error,
    );
  }
  return checker;
}

/** Sets unfinished ends aside, never drops them, and says what state the log was found in. */
function mend(directory: string, fds: Descriptors, checker: LogChecker): OpenedLog['findings'] {
  const { size } = checker.tree;
  const { events, checkpoints } = checker.completeBytes;
  const ordinal = (checker.head?.ordinal ?? 0) + 1;
  setAside(directory, `torn-${size + 1}`, fds.events, events, RECORD_BYTES);
  setAside(directory, `torn-checkpoint-${ordinal}`, fds.checkpoints, checkpoints, NOTE_BYTES);
  const findings = pendingFiles(directory).map((file) => tornFinding(file));
  if (checker.head?.state !== 'open') return findings;
  return [
    ...findings,
    {
      title: 'Audit log was not closed',
      severity: 'low',
      message: `The last writer ended without closing the log at ${size} records; ${size - checker.head.size} of them were not yet under a signed tree head.`,
    },
  ];
}

function tornFinding(file: string): Omit<FindingEvent, 'type'> {
  const message = `The last writer died while writing it. What was written is in ${file}.`;
  return file.startsWith('torn-checkpoint-')
    ? { title: 'Unfinished checkpoint set aside', severity: 'low', message }
    : { title: 'Unfinished record set aside', severity: 'medium', message: `${message} Its action did not go ahead.` };
}

const PENDING = '.pending';

/** Files set aside that are not on record yet, by the name they will have. */
function pendingFiles(directory: string): string[] {
  return readdirSync(directory)
    .filter((name) => /^torn-(?:checkpoint-)?\d+(?:\.\d+)?\.pending$/.test(name))
    .map((name) => name.slice(0, -PENDING.length))
    .toSorted();
}

/** To be called when the findings are on record: until then a crash leaves the files to be found again. */
function settle(directory: string): void {
  for (const name of pendingFiles(directory)) renameSync(join(directory, name + PENDING), join(directory, name));
}

/**
 * Moves what a file holds after its complete part into a file of its own, then cuts it off. Done again after a crash
 * in between it ends the same.
 */
function setAside(directory: string, name: string, fd: number, complete: number, limit: number): void {
  const bytes = fstatSync(fd).size - complete;
  if (bytes === 0) return;
  const torn = Buffer.alloc(bytes > limit ? 0 : bytes);
  if (bytes > limit || readSync(fd, torn, 0, bytes, complete) !== bytes)
    throw new AuditError('corrupt', `the unfinished end of the log in ${directory} is too large to be one record`);
  keep(directory, name, torn);
  syncDirectory(directory);
  ftruncateSync(fd, complete);
  fsyncSync(fd);
}

const TORN_FILES = 100;

function keep(directory: string, name: string, content: Buffer): void {
  for (let attempt = 1; attempt <= TORN_FILES; attempt += 1) {
    const path = join(directory, attempt === 1 ? name : `${name}.${attempt}`);
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) continue;
    const pending = path + PENDING;
    if (createPrivate(pending, content) || readSmall(pending, RECORD_BYTES).equals(content)) return;
  }
  throw new AuditError(
    'unsafe',
    `${directory} holds ${TORN_FILES} files named ${name}; look at them and move them away`,
  );
}
