import { closeSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { AuditError } from './error.ts';
import { filesOf, openForReading } from './files.ts';
import { RECORD_BYTES } from './limits.ts';
import { LineReader } from './lines.ts';
import type { LogEntry } from './ocsf/record.ts';
import { parseRecord } from './proof/chain.ts';

const RECORDS_PER_TURN = 512;

/**
 * The records of a log in order, without checking that they are genuine (see `verifyLog`). A line still being written
 * is not returned.
 *
 * @throws AuditError `corrupt` when there is no log, or a line is not a record or longer than {@link RECORD_BYTES}.
 */
export async function* readLog(directory: string): AsyncGenerator<LogEntry, void, undefined> {
  const file = filesOf(directory).events;
  const fd = openForReading(file);
  try {
    const lines = new LineReader(fd, RECORD_BYTES);
    let number = 0;
    for (let line = lines.next(); line !== undefined; line = lines.next()) {
      number += 1;
      yield entryOf(line, `${file}:${number}`);
      if (number % RECORDS_PER_TURN === 0) await nextTurn();
    }
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
