import { posix } from 'node:path';
import type { FileOperation } from '@nemoclaw/policy';
import { INIT_BINARY } from './binary.ts';
import { parseLog } from './network/datagram.ts';
import type { Watch } from './plan.ts';
import { type Arch, notified, syscallNumbers, WRITING } from './seccomp/filter.ts';

/** Something a process inside did, or tried to do. Paths are absolute, as inside, and lexically normalised. */
export type KernelEvent =
  | {
      readonly kind: 'exec';
      readonly pid: number;
      readonly ppid: number;
      /** What called: the program that is about to be replaced. */
      readonly executable?: string;
      readonly path: string;
      readonly argv: string[];
      readonly cwd?: string;
      /** `truncated`: longer than {@link EVENT_LIMITS}; `unreadable`: the process hid its memory, what is here is all. */
      readonly incomplete?: 'truncated' | 'unreadable';
    }
  | {
      readonly kind: 'file';
      readonly pid: number;
      readonly executable?: string;
      readonly operation: FileOperation;
      readonly path: string;
      /** The second path of a rename or link; the text of a symbolic link. */
      readonly target?: string;
      readonly incomplete?: 'truncated' | 'unreadable';
    }
  | { readonly kind: 'datagram'; readonly address: string; readonly port: number; readonly protocol: string }
  /** The kernel had no room for its records of refused datagrams: more were refused than are on record. */
  | { readonly kind: 'datagrams-lost' };

/** What the monitor reads of one call at most; the rest is cut and the event says so. */
export const EVENT_LIMITS = { pathBytes: 4096, arguments: 256, argumentBytes: 8192 } as const;

const O_EXCL = 0o200;
const O_CREAT = 0o100;
const O_PATH = 0o10000000;
const O_TMPFILE_BIT = 0o20000000;

interface Call {
  readonly name: string;
  readonly thread: number;
  readonly pid: number;
  readonly ppid: number;
  readonly args: readonly bigint[];
  /** flags, mode and resolve of openat2. */
  readonly how: readonly bigint[];
  readonly parts: ReadonlyMap<number, string>;
  readonly argv: string[];
  readonly incomplete?: 'truncated' | 'unreadable';
}

type Operation = FileOperation | 'exec' | ((call: Call) => FileOperation | undefined);

/** What an open with these flags does; undefined when it cannot change anything. */
function opening(flags: bigint): FileOperation | undefined {
  const low = Number(flags & 0xffffffffn);
  if ((low & O_PATH) !== 0 || (low & WRITING) === 0) return undefined;
  return (low & O_TMPFILE_BIT) !== 0 || ((low & O_CREAT) !== 0 && (low & O_EXCL) !== 0) ? 'create' : 'write';
}

interface Reading extends Omit<Watch, 'nr'> {
  readonly operation: Operation;
}
const plain = (path: number, operation: Operation): Reading => ({ a: { path }, operation });
const at = (dir: number, operation: Operation): Reading => ({ a: { dir, path: dir + 1 }, operation });

/** How each notified call is read. `link` and `rename` go from `a` to `b`; `symlink` makes `a` with the text `b`. */
const readings: Readonly<Record<string, Reading>> = {
  execve: { ...plain(0, 'exec'), argv: 1 },
  execveat: { ...at(0, 'exec'), argv: 2 },
  open: plain(0, (call) => opening(call.args[1] ?? 0n)),
  openat: at(0, (call) => opening(call.args[2] ?? 0n)),
  openat2: { ...at(0, (call) => opening(call.how[0] ?? 0n)), how: 2 },
  creat: plain(0, 'write'),
  unlink: plain(0, 'delete'),
  unlinkat: at(0, (call) => (((call.args[2] ?? 0n) & 0x200n) !== 0n ? 'rmdir' : 'delete')),
  rmdir: plain(0, 'rmdir'),
  rename: { ...plain(0, 'rename'), b: { path: 1 } },
  renameat: { ...at(0, 'rename'), b: { dir: 2, path: 3 } },
  renameat2: { ...at(0, 'rename'), b: { dir: 2, path: 3 } },
  link: { ...plain(0, 'link'), b: { path: 1 } },
  linkat: { ...at(0, 'link'), b: { dir: 2, path: 3 } },
  symlink: { ...plain(1, 'symlink'), b: { path: 0 } },
  symlinkat: { ...at(1, 'symlink'), b: { path: 0 } },
  mkdir: plain(0, 'mkdir'),
  mkdirat: at(0, 'mkdir'),
  mknod: plain(0, 'create'),
  mknodat: at(0, 'create'),
  chmod: plain(0, 'chmod'),
  fchmod: { fd: 0, operation: 'chmod' },
  fchmodat: at(0, 'chmod'),
  fchmodat2: at(0, 'chmod'),
  chown: plain(0, 'chown'),
  lchown: plain(0, 'chown'),
  fchown: { fd: 0, operation: 'chown' },
  fchownat: at(0, 'chown'),
  truncate: plain(0, 'truncate'),
};

/** The monitor's table: one row for each call that the recording filter notifies. */
export function watches(arch: Arch): Watch[] {
  return Object.keys(notified).flatMap((name) => {
    const nr = syscallNumbers[arch][name];
    const reading = readings[name];
    if (reading === undefined) throw new RangeError(`no way to read ${name}`);
    const { operation: _, ...arguments_ } = reading;
    return nr === undefined ? [] : [{ nr, ...arguments_ }];
  });
}

// native/src/launch.h
export const RECORD = { ready: 1, failed: 2, call: 3, datagram: 4, lost: 5, exit: 6, start: 7 } as const;
// native/src/monitor.c
const TAG = { end: 0, pathA: 1, pathB: 2, dirA: 3, dirB: 4, cwd: 5, executable: 6, argument: 7 } as const;
const FIXED_BYTES = 16 + 9 * 8;

const namesByArch = new Map<Arch, ReadonlyMap<number, string>>();
function nameOf(arch: Arch, nr: number): string {
  let names = namesByArch.get(arch);
  if (names === undefined) {
    names = new Map(Object.entries(syscallNumbers[arch]).map(([name, number]) => [number, name]));
    namesByArch.set(arch, names);
  }
  return names.get(nr) ?? String(nr);
}

function decodeCall(arch: Arch, record: Buffer): Call {
  const words = Array.from({ length: 9 }, (_, i) => record.readBigUInt64LE(16 + i * 8));
  const parts = new Map<number, string>();
  const argv: string[] = [];
  let cursor = FIXED_BYTES;
  for (;;) {
    const tag = record.readUInt32LE(cursor);
    const value = record.readUInt32LE(cursor + 4);
    if (tag === TAG.end) {
      const incomplete = (value & 2) !== 0 ? 'unreadable' : (value & 1) !== 0 ? 'truncated' : undefined;
      return {
        name: nameOf(arch, record.readUInt32LE(0)),
        thread: record.readUInt32LE(4),
        pid: record.readUInt32LE(8),
        ppid: record.readUInt32LE(12),
        args: words.slice(0, 6),
        how: words.slice(6),
        parts,
        argv,
        ...(incomplete === undefined ? {} : { incomplete }),
      };
    }
    const text = record.toString('utf8', cursor + 8, cursor + 8 + value);
    if (tag === TAG.argument) argv.push(text);
    else parts.set(tag, text);
    cursor += 8 + value;
  }
}

function normalise(path: string): string {
  const clean = posix.normalize(path);
  return clean.length > 1 && clean.endsWith('/') ? clean.slice(0, -1) : clean;
}

/** A path against the directory that it is relative to. What has no name (a pipe, a deleted file) keeps its label. */
function resolve(path: string, directory: string | undefined): string {
  if (path.startsWith('/')) return normalise(path);
  if (directory === undefined) return path;
  if (path === '' || !directory.startsWith('/')) return directory;
  return normalise(`${directory}/${path}`);
}

/**
 * `/proc/PID/exe` of a file that is gone, or never had a name, identifies nothing; nor does our own program, which
 * becomes the command.
 */
function named(executable: string | undefined): { executable?: string } {
  const gone = executable === undefined || !executable.startsWith('/') || executable.endsWith(' (deleted)');
  return gone || executable === INIT_BINARY ? {} : { executable };
}

/** The event of a notified call; undefined for one that changes nothing. */
export function callEvent(arch: Arch, record: Buffer): KernelEvent | undefined {
  const call = decodeCall(arch, record);
  const reading = readings[call.name];
  const operation = typeof reading?.operation === 'function' ? reading.operation(call) : reading?.operation;
  if (reading === undefined || operation === undefined) return undefined;
  const path = resolve(call.parts.get(TAG.pathA) ?? '', call.parts.get(TAG.dirA));
  const executable = named(call.parts.get(TAG.executable));
  const incomplete = call.incomplete === undefined ? {} : { incomplete: call.incomplete };
  if (operation === 'exec') {
    const cwd = call.parts.get(TAG.cwd);
    const where = cwd === undefined ? {} : { cwd };
    const { pid, ppid, argv } = call;
    return { kind: 'exec', pid, ppid, ...executable, path, argv, ...where, ...incomplete };
  }
  const second = call.parts.get(TAG.pathB);
  const target = operation === 'symlink' || second === undefined ? second : resolve(second, call.parts.get(TAG.dirB));
  return {
    kind: 'file',
    pid: call.pid,
    ...executable,
    operation,
    path,
    ...(target === undefined ? {} : { target }),
    ...incomplete,
  };
}

/** The events that one record of `openshell-init` tells of. */
export function recordEvents(arch: Arch, kind: number, payload: Buffer): KernelEvent[] {
  if (kind === RECORD.datagram) return parseLog(payload).map((datagram) => ({ kind: 'datagram', ...datagram }));
  if (kind === RECORD.lost) return [{ kind: 'datagrams-lost' }];
  const event = kind === RECORD.call || kind === RECORD.start ? callEvent(arch, payload) : undefined;
  return event === undefined ? [] : [event];
}
