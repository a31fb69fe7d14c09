import {
  accessSync,
  closeSync,
  constants,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  statSync,
} from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ProcessRef } from '@nemoclaw/policy';
import { codeOf } from '../error-code.ts';
import {
  MAX_ANCESTORS,
  MAX_ARGUMENTS,
  MAX_COMMAND_LINE_BYTES,
  MAX_DESCRIPTORS,
  MAX_PROCESSES,
  MAX_TREE_WALKS,
} from '../limits.ts';

/** The scan gives the event loop back after this many milliseconds. */
const SLICE_MS = 2;
const DELETED = ' (deleted)';

/** Something about the process tree could not be seen: whoever asked must assume the worst. */
export class NotVisible extends Error {}

/**
 * Process ids of the tree below `root` (itself included), each with its parent's. One reading may miss some: the kernel
 * lists the children of running processes only roughly (proc(5)), and an orphan moves to a new parent, whose
 * children may have been read already.
 */
function processTree(root: number): Map<number, number> {
  const parents = new Map<number, number>([[root, 0]]);
  for (const [pid] of parents) {
    for (const task of list(`/proc/${pid}/task`)) {
      for (const child of readText(`/proc/${pid}/task/${task}/children`).split(' ')) {
        if (child !== '') parents.set(Number(child), pid);
      }
    }
    if (parents.size > MAX_PROCESSES) throw new NotVisible(`more than ${MAX_PROCESSES} processes`);
  }
  return parents;
}

/**
 * Every process of the tree below `root` that holds one of the sockets, by inode. One pass serves all of them. The tree
 * is read again until it shows nobody who was not looked at.
 * @param readTree {@link processTree}, but for tests of what happens between two readings.
 * @throws {NotVisible} when a process may not be looked at, there are too many, or new ones keep appearing: one unseen
 * could hold the socket.
 */
export async function findHolders(
  root: number,
  inodes: ReadonlySet<string>,
  readTree: (root: number) => ReadonlyMap<number, number> = processTree,
): Promise<Map<string, ProcessRef[]>> {
  const links = new Map([...inodes].map((inode) => [`socket:[${inode}]`, inode]));
  const holders = new Map<string, ProcessRef[]>();
  const seen = new Set<number>();
  let sliceStart = performance.now();
  let descriptors = 0;
  for (let walk = 1; walk <= MAX_TREE_WALKS; walk++) {
    const parents = readTree(root);
    const unseen = [...parents.keys()].filter((pid) => !seen.has(pid));
    if (unseen.length === 0) return holders;
    for (const pid of unseen) {
      if (performance.now() - sliceStart > SLICE_MS) {
        await nextTurn();
        sliceStart = performance.now();
      }
      seen.add(pid);
      const held = new Set<string>();
      const table = descriptorTable(pid, pid === root);
      for (const fd of table === undefined ? [] : list(table)) {
        if (++descriptors > MAX_DESCRIPTORS) throw new NotVisible(`more than ${MAX_DESCRIPTORS} open files`);
        const inode = links.get(link(`${table}/${fd}`) ?? '');
        if (inode !== undefined) held.add(inode);
      }
      for (const inode of held) {
        const known = holders.get(inode) ?? [];
        known.push(describe(root, pid, parents));
        holders.set(inode, known);
      }
    }
  }
  throw new NotVisible('new processes appear faster than they can be looked at');
}

/**
 * Where a process's descriptors are listed, or undefined when it has none.
 *
 * The first process is the sandbox's own init: it makes no connections, and shields itself from being looked at (it is
 * not dumpable), even from an ordinary user's supervisor. No other process may hide. One that has ended and waits to be
 * reaped belongs to root (proc_pid(5)) and has no descriptors, unless threads of it live on: the sandbox's system call
 * filter makes them share one table, so any of them will do.
 * @throws {NotVisible} when it may not be looked at: for good, or for the moment in which it executes or ends
 */
function descriptorTable(pid: number, mayHide: boolean): string | undefined {
  const table = `/proc/${pid}/fd`;
  if (!hasEnded(`/proc/${pid}`)) return mayHide && !isReadable(table) ? undefined : table;
  const alive = list(`/proc/${pid}/task`).find((thread) => !hasEnded(`/proc/${pid}/task/${thread}`));
  return alive === undefined ? undefined : `/proc/${pid}/task/${alive}/fd`;
}

/** A zombie, or dead: the state behind the last parenthesis of `stat` (proc_pid_stat(5)). */
function hasEnded(directory: string): boolean {
  const stat = readText(`${directory}/stat`);
  return stat === '' || /^\) [ZX]/.test(stat.slice(stat.lastIndexOf(')')));
}

function isReadable(directory: string): boolean {
  try {
    accessSync(directory, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

function describe(root: number, pid: number, parents: ReadonlyMap<number, number>): ProcessRef {
  const executable = executableOf(pid);
  const ancestors: string[] = [];
  for (let at = parents.get(pid) ?? 0; at !== 0 && at !== root && ancestors.length < MAX_ANCESTORS; ) {
    ancestors.push(executableOf(at) ?? '');
    at = parents.get(at) ?? 0;
  }
  return { pid, ...(executable === undefined ? {} : { executable }), ancestors, commandLine: commandLineOf(pid) };
}

/**
 * The executable's path as the sandbox sees it. Undefined unless that path, looked up from the process's root, is
 * this very file: a deleted, replaced or memory-only program has no name, nor has one on a mount that is not visible.
 */
function executableOf(pid: number): string | undefined {
  const path = link(`/proc/${pid}/exe`);
  if (!path?.startsWith('/') || path.endsWith(DELETED)) return undefined;
  try {
    const running = statSync(`/proc/${pid}/exe`, { bigint: true });
    const named = statSync(`/proc/${pid}/root${path}`, { bigint: true });
    return running.dev === named.dev && running.ino === named.ino ? path : undefined;
  } catch {
    return undefined;
  }
}

function commandLineOf(pid: number): string[] {
  let file: number | undefined;
  try {
    file = openSync(`/proc/${pid}/cmdline`, 'r');
    const buffer = Buffer.alloc(MAX_COMMAND_LINE_BYTES);
    const text = buffer.toString('utf8', 0, readSync(file, buffer, 0, buffer.length, 0));
    return text.replace(/\0$/, '').split('\0').slice(0, MAX_ARGUMENTS);
  } catch {
    return [];
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    return gone(error, []);
  }
}

function link(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (error) {
    return gone(error, undefined);
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    return gone(error, '');
  }
}

/** A process (or descriptor) that ended meanwhile is no news; one that may not be looked at is. */
function gone<T>(error: unknown, nothing: T): T {
  const code = codeOf(error);
  if (code === 'ENOENT' || code === 'ESRCH' || code === 'EINVAL') return nothing;
  throw new NotVisible(`a process inside cannot be looked at (${code}); one that is not dumpable hides all`);
}
