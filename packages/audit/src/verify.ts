import { closeSync, fstatSync, readSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { AuditError } from './error.ts';
import { filesOf, openForReading, readSmall } from './files.ts';
import { NOTE_BYTES } from './limits.ts';
import { LogChecker, type LogFiles } from './proof/checker.ts';
import { Flaw, type FlawDetails } from './proof/flaw.ts';
import { parseVerifier, type Verifier } from './proof/note.ts';

export interface VerifyOptions {
  /**
   * The key to trust: the text of `key.pub` as kept somewhere else. Without it the directory's own `key.pub` is used,
   * and the result says `key: 'self'`: whoever could replace the whole directory, key included, is then not noticed.
   */
  readonly publicKey?: string;
}

/** What checking a log found. */
export interface Verification {
  /** Nothing is wrong. A log whose end was cut off back to an earlier signed head is also `ok`, but not `closed`. */
  readonly ok: boolean;
  /** Complete records in the log (all of them, checked or not). */
  readonly records: number;
  /** The newest signed head says that the log was closed cleanly, and it covers every record. */
  readonly closed: boolean;
  /** Leading records proved by a signed head: these are as they were written. */
  readonly covered: number;
  /** Records after those: chained, not yet signed (or not checked, when something is wrong). */
  readonly uncovered: number;
  /** RFC 6962 root over the `covered` records, base64. */
  readonly root: string;
  /** When the newest good head was signed: milliseconds since 1970. */
  readonly signedAt?: number;
  /** The log's origin, `nemoclaw.audit/<sandbox>`. */
  readonly origin: string;
  /** Eight hex digits of the key's hash. */
  readonly keyId: string;
  /** Whether the key was given by the caller, or taken from the log's own directory. */
  readonly key: 'pinned' | 'self';
  /** The first bad record (or checkpoint). Absent when `ok`. */
  readonly firstBad?: FlawDetails;
  /** Everything wrong, for people. Empty when `ok`. */
  readonly problems: readonly string[];
}

/** A log that is being written to can look torn for a moment: then it is read again, at most this often. */
const ATTEMPTS = 4;
const RECORDS_PER_TURN = 512;

/**
 * Checks a whole log: every line is the record written there (own fingerprint, link to its predecessor, sequence
 * without gap), and every checkpoint is signed, in order, and has the Merkle root of the records it covers. Any edit,
 * deletion, insertion or reordering is found. What a local check cannot find: the newest records and checkpoints cut
 * off together (shows as not `closed`), and, without `publicKey`, a whole new log under a new key.
 *
 * @throws AuditError when the directory holds no log, its files cannot be read, or `publicKey` is malformed.
 */
export async function verifyLog(directory: string, options: VerifyOptions = {}): Promise<Verification> {
  const key = options.publicKey === undefined ? 'self' : 'pinned';
  const pinned = options.publicKey === undefined ? undefined : parseVerifier(options.publicKey.trim());
  const files = filesOf(directory);
  // Checkpoints first: a head is written after its records, so records opened later cannot be behind it.
  const checkpoints = openForReading(files.checkpoints);
  try {
    const events = openForReading(files.events);
    try {
      const own = ownKey(files.key);
      const verifier = pinned ?? own.verifier;
      if (verifier === undefined) return unreadableKey(own.problem ?? 'unusable');
      const keyProblem = pinned !== undefined && own.verifier?.text !== pinned.text ? OTHER_KEY : undefined;
      for (let attempt = 1; ; attempt += 1) {
        const sizes = { checkpoints: fstatSync(checkpoints).size, events: fstatSync(events).size };
        const found = await check(
          {
            checkpoints: { fd: checkpoints, bytes: sizes.checkpoints },
            events: { fd: events, bytes: sizes.events },
          },
          verifier,
          key,
        );
        const grew = fstatSync(checkpoints).size !== sizes.checkpoints || fstatSync(events).size !== sizes.events;
        if (!found.ok && grew && attempt < ATTEMPTS) continue;
        return keyProblem === undefined ? found : withKeyProblem(found, keyProblem);
      }
    } finally {
      closeSync(events);
    }
  } finally {
    closeSync(checkpoints);
  }
}

const OTHER_KEY = "the log's key.pub is not the key given";

function ownKey(file: string): { verifier?: Verifier; problem?: string } {
  try {
    const text = readSmall(file, NOTE_BYTES).toString('utf8');
    if (!text.endsWith('\n')) return { problem: 'it does not end in a newline' };
    return { verifier: parseVerifier(text.slice(0, -1)) };
  } catch (error) {
    if (error instanceof AuditError) return { problem: error.message };
    throw error;
  }
}

function unreadableKey(problem: string): Verification {
  const firstBad: FlawDetails = { file: 'key.pub', line: 1, reason: problem };
  return {
    ok: false,
    records: 0,
    closed: false,
    covered: 0,
    uncovered: 0,
    root: '',
    origin: '',
    keyId: '',
    key: 'self',
    firstBad,
    problems: [describe(firstBad)],
  };
}

function withKeyProblem(found: Verification, reason: string): Verification {
  const flaw: FlawDetails = { file: 'key.pub', line: 1, reason };
  return { ...found, ok: false, firstBad: found.firstBad ?? flaw, problems: [...found.problems, describe(flaw)] };
}

function describe(flaw: FlawDetails): string {
  return `${flaw.file}:${flaw.line}: ${flaw.reason}`;
}

async function check(files: LogFiles, verifier: Verifier, key: 'pinned' | 'self'): Promise<Verification> {
  const checker = new LogChecker(files, verifier);
  const flaws: FlawDetails[] = [];
  try {
    checker.start();
    while (checker.step()) if (checker.tree.size % RECORDS_PER_TURN === 0) await nextTurn();
    flaws.push(...unfinished(checker));
  } catch (error) {
    if (!(error instanceof Flaw)) throw error;
    flaws.push(error.details);
  }
  const [firstBad] = flaws;
  const records = firstBad === undefined ? checker.tree.size : await countLines(files);
  const head = checker.head;
  const covered = head?.size ?? 0;
  return {
    ok: firstBad === undefined,
    records,
    closed: firstBad === undefined && head?.state === 'closed',
    covered,
    uncovered: records - covered,
    root: head === undefined ? '' : Buffer.from(head.root).toString('base64'),
    ...(head === undefined ? {} : { signedAt: head.time }),
    origin: verifier.name,
    keyId: verifier.id,
    key,
    ...(firstBad === undefined ? {} : { firstBad }),
    problems: flaws.map(describe),
  };
}

function unfinished(checker: LogChecker): FlawDetails[] {
  const flaws: FlawDetails[] = [];
  const sequence = checker.tree.size + 1;
  if (checker.head === undefined)
    flaws.push({ file: 'checkpoints', line: 1, reason: 'no signed tree head starts this log' });
  if (checker.tornRecord.length > 0)
    flaws.push({
      file: 'events.jsonl',
      line: sequence,
      sequence,
      reason: 'unfinished: the writer died while writing it, or it was cut; opening the log again sets it aside',
    });
  if (checker.tornCheckpoint)
    flaws.push({
      file: 'checkpoints',
      line: (checker.head?.line ?? 0) + 1,
      reason: 'an unfinished checkpoint at the end; opening the log again sets it aside',
    });
  return flaws;
}

/** Lines of the whole file: checking stops at the first flaw, counting does not. */
async function countLines({ events }: LogFiles): Promise<number> {
  const chunk = Buffer.allocUnsafe(1_048_576);
  let lines = 0;
  for (let position = 0; position < events.bytes; ) {
    const read = readSync(events.fd, chunk, 0, Math.min(chunk.length, events.bytes - position), position);
    if (read === 0) break;
    const bytes = chunk.subarray(0, read);
    for (let at = bytes.indexOf(0x0a); at !== -1; at = bytes.indexOf(0x0a, at + 1)) lines += 1;
    position += read;
    await nextTurn();
  }
  return lines;
}
