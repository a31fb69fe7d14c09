import { posix } from 'node:path';
import { LaunchError } from './error.ts';
import type { Etc } from './etc.ts';
import type { HostFiles } from './host.ts';
import { idMap } from './ids.ts';
import { MOUNT, type Step } from './plan.ts';
import type { Agent, Owner, View, ViewEntry } from './view.ts';

/** Devices that every sandbox has, bound from the host. */
export const DEVICE_NAMES = ['null', 'zero', 'full', 'random', 'urandom', 'tty'] as const;

/** Parts of /proc that change or describe the whole machine: read-only even for who could write them. */
const READ_ONLY_PROC = ['sysrq-trigger', 'irq', 'bus', 'fs', 'acpi', 'scsi'];
/** Parts of /proc that tell of the kernel's memory or of other users: empty. */
const MASKED_PROC = [
  'kcore',
  'keys',
  'key-users',
  'timer_list',
  'sched_debug',
  'latency_stats',
  'kpagecount',
  'kpageflags',
];

/** Sizes of the sandbox's own memory-backed file systems. */
export const TMPFS_SIZES = { root: '16m', etc: '16m', shm: '512m', files: '2g' } as const;
/** Process numbers of one sandbox go up to here (pid_max): its processes and threads can never be more. */
export const PID_MAX = 1024;

const SAFE = MOUNT.noSuid | MOUNT.noDev;
const inner = (path: string) => path.slice(1);
const bytes = (value: string) => Buffer.from(value);

interface Facts {
  readonly pidMaxPerNamespace: boolean;
  readonly maxSlots: number;
}

/** Collects the steps that make the root; trees of the host are taken first, while its paths are still in view. */
export class FilesystemPlan {
  /** Before `enter`, with the privileges of the supervisor; used when it is root. */
  readonly outer: Step[] = [];
  /** In pid 1, before the new root exists. */
  readonly trees: Step[] = [];
  /** In pid 1, in the new root. */
  readonly root: Step[] = [];
  readonly #agent: Agent;
  readonly #hostFiles: HostFiles;
  readonly #facts: Facts;
  readonly #made = new Set<string>(['/']);
  readonly #idmaps = new Map<string, number>();
  #slots = 0;

  constructor(agent: Agent, hostFiles: HostFiles, facts: Facts) {
    this.#agent = agent;
    this.#hostFiles = hostFiles;
    this.#facts = facts;
  }

  add(view: View, etc: Etc): void {
    this.#makeRoot();
    this.#makeProc();
    this.#makeDev();
    const hasEtc = etc.files.length + etc.binds.length > 0;
    if (hasEtc) this.#makeEtc(etc);
    for (const entry of view.entries) this.#place(entry);
    if (hasEtc) this.#seal('/etc');
    for (const entry of view.entries) if (entry.kind === 'tmpfs' && !entry.write) this.#seal(entry.target);
    this.#closeSysctl();
    this.root.push({ op: 'pivot' }, { op: 'attributes', path: '.', attributes: MOUNT.readOnly, recursive: false });
  }

  #slot(): number {
    if (this.#slots === this.#facts.maxSlots) {
      throw new LaunchError('plan', `the root needs more than ${this.#facts.maxSlots} mounts`, 'List fewer paths.');
    }
    return this.#slots++;
  }

  /** Takes a tree of the host; as root before entering, because the agent's user may not reach it. */
  #tree(source: string, attributes: number, owner?: Owner): number {
    const slot = this.#slot();
    const idmap = owner === undefined ? {} : { idmap: this.#idmap(owner) };
    (this.#agent.privileged ? this.outer : this.trees).push({ op: 'tree', slot, source, attributes, ...idmap });
    return slot;
  }

  #idmap(owner: Owner): number {
    const key = `${owner.uid}:${owner.gid}`;
    const known = this.#idmaps.get(key);
    if (known !== undefined) return known;
    const slot = this.#slot();
    const { uid, gid } = this.#agent;
    this.outer.push({ op: 'idmap', slot, uidMap: idMap(owner.uid, uid), gidMap: idMap(owner.gid, gid) });
    this.#idmaps.set(key, slot);
    return slot;
  }

  #makeRoot(): void {
    const at = ['/tmp', '/mnt', '/proc'].find((path) => this.#hostFiles.lstat(path)?.kind === 'directory');
    if (at === undefined) throw new LaunchError('plan', 'the host has none of /tmp, /mnt, /proc');
    const options = { mode: '0755', size: TMPFS_SIZES.root };
    this.root.push({ op: 'root', kind: 'tmpfs', options, attributes: SAFE, path: at });
  }

  /** Makes a directory of our own, with its parents. */
  #directory(path: string, mode = 0o755): void {
    if (this.#made.has(path)) return;
    this.#directory(posix.dirname(path));
    this.#made.add(path);
    this.root.push({ op: 'directory', path: inner(path), mode });
  }

  #mount(kind: string, path: string, options: Readonly<Record<string, string>>, attributes = SAFE): void {
    this.#directory(path);
    this.root.push({ op: 'mount', kind, options, attributes, path: inner(path) });
  }

  #seal(path: string): void {
    this.root.push({ op: 'attributes', path: inner(path), attributes: MOUNT.readOnly, recursive: false });
  }

  #makeProc(): void {
    this.#mount('proc', '/proc', {}, SAFE | MOUNT.noExec);
    for (const name of READ_ONLY_PROC) if (this.#exists(`/proc/${name}`)) this.#coverProc(name);
    for (const name of MASKED_PROC) {
      if (!this.#exists(`/proc/${name}`)) continue;
      const slot = this.#tree('/dev/null', MOUNT.noSuid | MOUNT.noExec | MOUNT.readOnly);
      this.root.push({ op: 'attach', slot, path: `proc/${name}` });
    }
  }

  #exists(path: string): boolean {
    return this.#hostFiles.lstat(path) !== undefined;
  }

  #coverProc(name: string, between: readonly Step[] = []): void {
    const slot = this.#slot();
    const attributes = SAFE | MOUNT.noExec | MOUNT.readOnly;
    this.root.push({ op: 'tree', slot, source: `proc/${name}`, attributes }, ...between);
    this.root.push({ op: 'attach', slot, path: `proc/${name}` });
  }

  /**
   * Sets the limits of the new namespaces and then closes /proc/sys. The very last: with no mount namespace to be had,
   * no mount can be made either.
   */
  #closeSysctl(): void {
    const kinds = ['user', 'pid', 'net', 'ipc', 'uts', 'cgroup', 'time', 'mnt'];
    const limits = kinds.map((kind) => [`user/max_${kind}_namespaces`, '0']);
    if (this.#facts.pidMaxPerNamespace) limits.push(['kernel/pid_max', String(PID_MAX)]);
    const writes = limits
      .filter(([name]) => this.#exists(`/proc/sys/${name}`))
      .map(([name, value]): Step => ({ op: 'write', path: `proc/sys/${name}`, bytes: bytes(value ?? '') }));
    this.#coverProc('sys', writes);
  }

  #makeDev(): void {
    this.#directory('/dev');
    for (const name of DEVICE_NAMES) {
      const slot = this.#tree(`/dev/${name}`, MOUNT.noSuid | MOUNT.noExec);
      this.root.push({ op: 'file', path: `dev/${name}`, mode: 0o666, bytes: bytes('') });
      this.root.push({ op: 'attach', slot, path: `dev/${name}` });
    }
    const terminals = { ptmxmode: '0666', mode: '0620' };
    this.#mount('devpts', '/dev/pts', terminals, MOUNT.noSuid | MOUNT.noExec);
    this.#mount('tmpfs', '/dev/shm', { mode: '1777', size: TMPFS_SIZES.shm }, SAFE | MOUNT.noExec);
    const links = { ptmx: 'pts/ptmx', fd: '/proc/self/fd', stdin: 'fd/0', stdout: 'fd/1', stderr: 'fd/2' };
    for (const [name, target] of Object.entries(links)) this.root.push({ op: 'symlink', path: `dev/${name}`, target });
  }

  #makeEtc(etc: Etc): void {
    this.#mount('tmpfs', '/etc', { mode: '0755', size: TMPFS_SIZES.etc }, SAFE | MOUNT.noExec);
    for (const { path, content, mode } of etc.files) {
      this.#directory(posix.dirname(path));
      this.root.push({ op: 'file', path: inner(path), mode, bytes: content });
    }
    for (const { path, source } of etc.binds) {
      this.#place({ kind: 'bind', target: path, source, write: false, directory: false });
    }
    for (const { path, target } of etc.symlinks) {
      this.#directory(posix.dirname(path));
      this.root.push({ op: 'symlink', path: inner(path), target });
    }
    this.root.push({ op: 'symlink', path: 'etc/mtab', target: '/proc/self/mounts' });
  }

  #place(entry: ViewEntry): void {
    const { target } = entry;
    if (entry.kind === 'symlink') {
      this.#directory(posix.dirname(target));
      this.root.push({ op: 'symlink', path: inner(target), target: entry.to });
    } else if (entry.kind === 'tmpfs') {
      const mode = target === '/tmp' ? '1777' : '0700';
      this.#mount('tmpfs', target, { mode, size: TMPFS_SIZES.files });
    } else {
      const attributes = SAFE | (entry.write ? 0 : MOUNT.readOnly);
      const slot = this.#tree(entry.source, attributes, entry.owner);
      this.#mountPoint(target, entry.directory);
      this.root.push({ op: 'attach', slot, path: inner(target) });
    }
  }

  /** In a directory of ours the mount point is made; in a bound one it exists (the view has checked it). */
  #mountPoint(target: string, directory: boolean): void {
    if (this.#isBound(posix.dirname(target))) {
      this.#bound.add(target);
      return;
    }
    if (directory) {
      this.#directory(target);
    } else {
      this.#directory(posix.dirname(target));
      this.root.push({ op: 'file', path: inner(target), mode: 0o600, bytes: bytes('') });
    }
    this.#bound.add(target);
  }

  readonly #bound = new Set<string>();
  #isBound(path: string): boolean {
    for (let at = path; at !== '/'; at = posix.dirname(at)) if (this.#bound.has(at)) return true;
    return false;
  }
}
