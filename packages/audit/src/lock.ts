import { lstatSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { AuditError, messageOf } from './error.ts';
import { createPrivate } from './files.ts';

/** A held lock. */
export interface Lock {
  /** A second time does nothing. */
  release(): void;
}

/**
 * Takes the lock of a log: held by the kernel, gone with the process however it ends, never stale.
 *
 * Node has no `flock`, but SQLite, which Node carries, takes POSIX record locks; an open exclusive transaction on an
 * empty database is such a lock, also between two users in one process. A POSIX lock is lost when its process closes
 * *any* descriptor of the file, so nothing here may open it except SQLite, and the file is made before, not checked
 * by opening.
 *
 * @throws AuditError `locked` when another writer holds it.
 */
export function takeLock(file: string): Lock {
  const stats = lstatSync(file, { throwIfNoEntry: false });
  if (stats === undefined) createPrivate(file, Buffer.alloc(0));
  else if (!stats.isFile() || stats.size !== 0 || stats.uid !== process.geteuid?.())
    throw new AuditError('unsafe', `${file} is not the empty lock file of an audit log; move it away`);
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(file, { timeout: 0, enableForeignKeyConstraints: false });
    database.exec('PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (error) {
    database?.close();
    if (!isBusy(error)) throw new AuditError('unsafe', `cannot lock ${file}: ${messageOf(error)}`, error);
    throw new AuditError(
      'locked',
      `another process writes this audit log (${file} is locked); stop that sandbox first, or use another directory`,
      error,
    );
  }
  const held = database;
  return {
    release: () => {
      if (held.isOpen) held.close();
    },
  };
}

const SQLITE_BUSY = 5;

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY;
}
