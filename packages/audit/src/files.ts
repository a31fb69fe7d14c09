import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  type Stats,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { AuditError, messageOf } from './error.ts';

const { O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY } = constants;

/** The files of a log. */
export function filesOf(directory: string) {
  return {
    events: join(directory, 'events.jsonl'),
    checkpoints: join(directory, 'checkpoints'),
    key: join(directory, 'key.pub'),
    lock: join(directory, 'lock'),
  };
}

function cannot(what: string, path: string, error: unknown): AuditError {
  return new AuditError('unsafe', `cannot ${what} ${path}: ${messageOf(error)}`, error);
}

/** Refuses what is not a private regular file of this user. */
function demandPrivateFile(stats: Stats, path: string): void {
  if (!stats.isFile()) throw new AuditError('unsafe', `${path} is not a regular file; move it away`);
  if (stats.uid !== process.geteuid?.())
    throw new AuditError('unsafe', `${path} belongs to uid ${stats.uid}; run as that user, or move it away`);
  if ((stats.mode & 0o077) !== 0)
    throw new AuditError(
      'unsafe',
      `${path} is open to other users; check who could have used it, then: chmod 600 ${path}`,
    );
}

/**
 * Makes a directory 0700 (with its parents) or checks that it is a private directory of this user. An empty one that
 * others may enter is made private, one with content is refused.
 */
export function privateDirectory(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw cannot('make the directory', path, error);
  }
  const stats = lstatSync(path);
  if (!stats.isDirectory())
    throw new AuditError('unsafe', `${path} is not a directory (or a link to one); name another`);
  if (stats.uid !== process.geteuid?.())
    throw new AuditError('unsafe', `${path} belongs to uid ${stats.uid}; name a directory of your own`);
  if ((stats.mode & 0o077) === 0) return;
  if (readdirSync(path).length > 0)
    throw new AuditError('unsafe', `${path} is open to other users; check its content, then: chmod 700 ${path}`);
  chmodSync(path, 0o700);
}

function openChecked(path: string, flags: number): number {
  let fd: number;
  try {
    fd = openSync(path, flags | O_NOFOLLOW | O_NONBLOCK, 0o600);
  } catch (error) {
    throw cannot('open', path, error);
  }
  try {
    demandPrivateFile(fstatSync(fd), path);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Opens (or makes, 0600) a file that only grows. */
export function openForAppending(path: string): number {
  const fd = openChecked(path, O_RDWR | O_APPEND | O_CREAT);
  const { nlink } = fstatSync(fd);
  if (nlink === 1) return fd;
  closeSync(fd);
  throw new AuditError('unsafe', `${path} has ${nlink} hard links, so others may reach it; move it away`);
}

/** Opens a log file for reading. Whoever may read it may check it, so its owner and mode do not matter. */
export function openForReading(path: string): number {
  let fd: number;
  try {
    fd = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    throw new AuditError('corrupt', `cannot open ${path}: ${messageOf(error)}; is this an audit log directory?`, error);
  }
  if (fstatSync(fd).isFile()) return fd;
  closeSync(fd);
  throw new AuditError('corrupt', `${path} is not a regular file`);
}

/** The whole content of a small file. */
export function readSmall(path: string, limit: number): Buffer {
  const fd = openForReading(path);
  try {
    return readAll(fd, path, limit);
  } finally {
    closeSync(fd);
  }
}

/** The whole content of a small file that must be private. */
export function readPrivate(path: string, limit: number): Buffer {
  const fd = openChecked(path, O_RDONLY);
  try {
    return readAll(fd, path, limit);
  } finally {
    closeSync(fd);
  }
}

function readAll(fd: number, path: string, limit: number): Buffer {
  const buffer = Buffer.alloc(limit + 1);
  let length = 0;
  for (let read = -1; read !== 0 && length <= limit; length += read)
    read = readSync(fd, buffer, length, buffer.length - length, length);
  if (length > limit) throw new AuditError('corrupt', `${path} is larger than ${limit} bytes`);
  return buffer.subarray(0, length);
}

/**
 * Makes a file with this content, durably, if there is none of that name.
 *
 * @returns false when there is one already.
 */
export function createPrivate(path: string, content: Uint8Array): boolean {
  let fd: number;
  try {
    fd = openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw cannot('make', path, error);
  }
  try {
    writeWhole(fd, content);
    fsyncSync(fd);
  } catch (error) {
    throw cannot('write', path, error);
  } finally {
    closeSync(fd);
  }
  return true;
}

/** One write call for all of it; anything less is an error. */
export function writeWhole(fd: number, content: Uint8Array): void {
  const written = writeSync(fd, content, 0, content.length, null);
  if (written !== content.length)
    throw new AuditError('write', `only ${written} of ${content.length} bytes could be written; is the disk full?`);
}

/** Makes names created in a directory durable. */
export function syncDirectory(path: string): void {
  const fd = openSync(path, O_RDONLY | O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** The error code of a failed system call (`ENOENT`). */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
