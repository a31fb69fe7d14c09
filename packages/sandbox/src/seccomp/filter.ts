import { ALLOW, architectures, assemble, type Decision, encodeProgram, NOTIFY } from './assemble.ts';
import { numbers as arm64 } from './numbers-arm64.ts';
import { numbers as x64 } from './numbers-x64.ts';
import { ENOSYS, ruleTable } from './rules.ts';

/** Architectures as Node names them. */
export type Arch = 'x64' | 'arm64';

export const syscallNumbers: Readonly<Record<Arch, Readonly<Record<string, number>>>> = { x64, arm64 };

/** O_WRONLY | O_RDWR | O_CREAT | O_TRUNC: the same on both architectures. */
export const WRITING = 0o1 | 0o2 | 0o100 | 0o1000;

/** Calls that change files or start programs; opens only when they ask for writing. */
export const notified: Readonly<Record<string, Decision>> = {
  ...Object.fromEntries(
    `execve execveat openat2 creat unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat mkdir mkdirat
     rmdir mknod mknodat chmod fchmod fchmodat fchmodat2 chown lchown fchown fchownat truncate`
      .split(/\s+/)
      .map((name) => [name, NOTIFY]),
  ),
  open: { arg: 1, any: WRITING, yes: NOTIFY, no: ALLOW },
  openat: { arg: 2, any: WRITING, yes: NOTIFY, no: ALLOW },
};

/** Names that an architecture does not have are left out: there the number may mean another call. */
export function byNumber(arch: Arch, rules: Iterable<readonly [string, Decision]>): Map<number, Decision> {
  const numbers = syscallNumbers[arch];
  const table = new Map<number, Decision>();
  for (const [name, decision] of rules) {
    const nr = numbers[name];
    if (nr !== undefined) table.set(nr, decision);
  }
  return table;
}

/** The allow-list as `struct sock_filter[]`. */
export function allowListProgram(arch: Arch): Uint8Array {
  return encodeProgram(assemble(architectures[arch], byNumber(arch, ruleTable()), ENOSYS));
}

/** The recording filter: notifies {@link notified}, allows the rest. Installed after the allow-list, which it cannot widen. */
export function notifyProgram(arch: Arch): Uint8Array {
  return encodeProgram(assemble(architectures[arch], byNumber(arch, Object.entries(notified)), ALLOW));
}
