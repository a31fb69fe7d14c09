import { on } from 'node:events';
import { closeSync, watch } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { AuditError, messageOf } from './error.ts';
import { filesOf, openForReading } from './files.ts';
import { RECORD_BYTES } from './limits.ts';
import { LineReader } from './lines.ts';
import type { LogEntry } from './ocsf/record.ts';
import { parseRecord } from './proof/chain.ts';

export interface ReadOptions {
  /** Go on as the log grows, until aborted. Without it, reading ends where the log ends now. */
  readonly follow?: AbortSignal;
}

const RECORDS_PER_TURN = 512;

/**
 * The records of a log in order, without checking that they are genuine (see `verifyLog`). A line still being written
 * is not returned.
 *
 * @throws AuditError `corrupt` when there is no log, or a line is not a record or longer than {@link RECORD_BYTES}.
 */
export async function* readLog(
  directory: string,
  options: ReadOptions = {},
): AsyncGenerator<LogEntry, void, undefined> {
  const file = filesOf(directory).events;
  const fd = openForReading(file);
  try {
    const lines = new LineReader(fd, RECORD_BYTES);
    let number = 0;
    const rest = function* (): Generator<LogEntry> {
      for (let line = lines.next(); line !== undefined; line = lines.next()) {
        number += 1;
        yield entryOf(line, `${file}:${number}`);
      }
    };
    for (const entry of rest()) {
      yield entry;
      if (number % RECORDS_PER_TURN === 0) await nextTurn();
    }
    if (options.follow === undefined) return;
    for await (const _ of changes(file, options.follow)) yield* rest();
  } finally {
    closeSync(fd);
  }
}

function entryOf(line: Buffer, place: string): LogEntry {
  const record = parseRecord(line);
  if (record === undefined)
    throw new AuditError('corrupt', `${place} is not an audit record; run: openshell audit verify`);
  return { sequence: record.metadata.sequence, record };
}

/** Once at the start (something may have been written before watching began), then after every change. */
async function* changes(file: string, signal: AbortSignal): AsyncGenerator<void, void, undefined> {
  if (signal.aborted) return;
  try {
    const events = on(watch(file, { signal }), 'change', { signal });
    yield;
    for await (const _ of events) yield;
  } catch (error) {
    if (signal.aborted) return;
    throw new AuditError('corrupt', `cannot follow ${file}: ${messageOf(error)}`, error);
  }
}
