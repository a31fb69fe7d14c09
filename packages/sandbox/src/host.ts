import { lstatSync, readFileSync, readlinkSync, realpathSync } from 'node:fs';

/** What planning asks of the host's file system. It only reads. */
export interface HostFiles {
  /** Undefined when there is no such file. */
  lstat(path: string): HostFile | undefined;
  /** The path without symbolic links; undefined when it leads nowhere. */
  realpath(path: string): string | undefined;
  readlink(path: string): string;
  /** Undefined when it cannot be read. Follows symbolic links. */
  read(path: string): Uint8Array | undefined;
}

export interface HostFile {
  readonly kind: 'directory' | 'symlink' | 'other';
  readonly uid: number;
  readonly gid: number;
  /** Permission bits. */
  readonly mode: number;
  /** Bytes. */
  readonly size: number;
}

function attempt<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}

export const host: HostFiles = {
  lstat(path) {
    const status = attempt(() => lstatSync(path));
    if (status === undefined) return undefined;
    const kind = status.isDirectory() ? 'directory' : status.isSymbolicLink() ? 'symlink' : 'other';
    return { kind, uid: status.uid, gid: status.gid, mode: status.mode & 0o7777, size: status.size };
  },
  realpath: (path) => attempt(() => realpathSync(path)),
  readlink: (path) => readlinkSync(path),
  read: (path) => attempt(() => readFileSync(path)),
};
