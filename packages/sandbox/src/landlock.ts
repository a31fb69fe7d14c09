import type { Step } from './plan.ts';
import type { View } from './view.ts';

/** Landlock rights on files (landlock(7), include/uapi/linux/landlock.h), with the ABI that brought them. */
export const RIGHT = {
  execute: 1n << 0n,
  writeFile: 1n << 1n,
  readFile: 1n << 2n,
  readDir: 1n << 3n,
  removeDir: 1n << 4n,
  removeFile: 1n << 5n,
  makeChar: 1n << 6n,
  makeDir: 1n << 7n,
  makeRegular: 1n << 8n,
  makeSocket: 1n << 9n,
  makeFifo: 1n << 10n,
  makeBlock: 1n << 11n,
  makeSymlink: 1n << 12n,
  /** ABI 2 */
  refer: 1n << 13n,
  /** ABI 3 */
  truncate: 1n << 14n,
  /** ABI 5 */
  ioctlDevice: 1n << 15n,
} as const;

/** Below this the kernel cannot stop a read-only file from being truncated: not enough under `hard_requirement`. */
export const REQUIRED_ABI = 3;
/** The newest ABI whose rights are used. */
export const KNOWN_ABI = 7;

/** Every file right that an ABI can restrict. */
export function handledRights(abi: number): bigint {
  const count = abi >= 5 ? 16n : abi >= 3 ? 15n : abi >= 2 ? 14n : 13n;
  return (1n << count) - 1n;
}

/** Signals and abstract unix sockets stay within the sandbox (ABI 6). */
const scopes = (abi: number) => (abi >= 6 ? 3n : 0n);
/** Bytes of `struct landlock_ruleset_attr` that an ABI knows: fs, then net (4), then scoped (6). */
const attributeSize = (abi: number) => (abi >= 6 ? 24 : abi >= 4 ? 16 : 8);

const READ_FILE = RIGHT.readFile | RIGHT.execute;
const READ = READ_FILE | RIGHT.readDir;
const WRITE_FILE = READ_FILE | RIGHT.writeFile | RIGHT.truncate;
/** Everything but devices: making device nodes, and ioctl on them. */
const WRITE = handledRights(KNOWN_ABI) & ~(RIGHT.makeChar | RIGHT.makeBlock | RIGHT.ioctlDevice);
const DEVICE = RIGHT.readFile | RIGHT.writeFile | RIGHT.truncate | RIGHT.ioctlDevice;

/** What a listed path permits. */
export function rightsFor(entry: { write: boolean; directory: boolean }): bigint {
  if (entry.directory) return entry.write ? WRITE : READ;
  return entry.write ? WRITE_FILE : READ_FILE;
}

/**
 * The rule set for a view: the same lines that the mounts draw, drawn again by another mechanism. TCP ports are left
 * alone, because Landlock's would also hit servers inside; the network namespace holds that line.
 */
export function landlockSteps(view: View, devices: readonly string[], abi: number): Step[] {
  if (abi < 1) return [];
  const handled = handledRights(Math.min(abi, KNOWN_ABI));
  const rules = new Map<string, bigint>([
    ['.', RIGHT.readDir],
    ['proc', RIGHT.readFile | RIGHT.readDir | (view.procWritable ? RIGHT.writeFile | RIGHT.truncate : 0n)],
    ['dev/pts', DEVICE | RIGHT.readDir],
    ['dev/shm', WRITE],
    ...devices.map((name) => [`dev/${name}`, DEVICE] as const),
  ]);
  if (view.etc) rules.set('etc', RIGHT.readFile | RIGHT.readDir);
  for (const entry of view.entries) if (entry.kind !== 'symlink') rules.set(entry.target.slice(1), rightsFor(entry));
  return [
    { op: 'landlock', fs: handled, net: 0n, scoped: scopes(abi), size: attributeSize(abi) },
    ...[...rules].map(([path, access]): Step => ({ op: 'landlock_path', path, access: access & handled })),
    { op: 'landlock_seal', flags: 0 },
  ];
}
