import { posix } from 'node:path';
import { LaunchError } from './error.ts';
import type { HostFile, HostFiles } from './host.ts';
import { HOME, type SandboxSpec } from './spec.ts';

/** One thing in the root that the command sees. Targets are absolute paths inside. */
export type ViewEntry =
  | {
      readonly kind: 'bind';
      readonly target: string;
      /** On the host, without symbolic links. */
      readonly source: string;
      readonly write: boolean;
      readonly directory: boolean;
      /** Who owns the source, when the agent shall appear as the owner in its place. */
      readonly owner?: Owner;
    }
  | { readonly kind: 'tmpfs'; readonly target: string; readonly write: boolean; readonly directory: true }
  | { readonly kind: 'symlink'; readonly target: string; readonly to: string };

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** The whole root, /proc and /dev aside, which every sandbox has of its own. */
export interface View {
  /** Ordered: what holds a mount point comes before what is mounted there. */
  readonly entries: readonly ViewEntry[];
  /** A synthesised /etc. */
  readonly etc: boolean;
  /** /proc is listed for writing: the agent may write what its processes own there. */
  readonly procWritable: boolean;
  readonly warnings: readonly string[];
}

/** Whom the command runs as. `privileged`: the supervisor is root, the agent is not. */
export interface Agent extends Owner {
  readonly privileged: boolean;
}

/** Where an operating system keeps programs and libraries: not every one has every one of them. */
const OPTIONAL = new Set(['/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32']);
/** What /dev holds in every sandbox. Other devices are not to be had. */
const DEVICES = /^\/dev(\/(null|zero|full|random|urandom|tty|ptmx|fd|stdin|stdout|stderr|(pts|shm)(\/.*)?))?$/;

/** Is `path` the same as `directory`, or below it? */
export function within(path: string, directory: string): boolean {
  return path === directory || directory === '/' || path.startsWith(`${directory}/`);
}

const move = (path: string, from: string, to: string) => (path === from ? to : posix.join(to, path.slice(from.length)));
const depth = (path: string) => path.split('/').length;

function clean(path: string): string {
  const normal = posix.normalize(path);
  const short = normal.length > 1 && normal.endsWith('/') ? normal.slice(0, -1) : normal;
  if (!path.startsWith('/') || short !== path.replace(/(?<=.)\/+$/, '') || path.includes('\0')) {
    throw new LaunchError('plan', `not an absolute, normal path: ${JSON.stringify(path)}`, `Write it as ${short}.`);
  }
  if (short === '/') {
    throw new LaunchError('plan', 'the root directory cannot be listed', 'List the directories that are needed.');
  }
  return short;
}

/** Every path that shall exist, and whether for writing. A path listed for both is read-only. */
function listPaths(spec: SandboxSpec): Map<string, boolean> {
  const { includeWorkdir, readOnly, readWrite } = spec.policy.filesystem;
  const listed = new Map([[HOME, true]]);
  if (includeWorkdir) listed.set(clean(spec.workdir.target), true);
  for (const path of readWrite) listed.set(clean(path), true);
  for (const path of readOnly) listed.set(clean(path), false);
  for (const { target } of spec.mounts) {
    if (listed.has(clean(target))) continue;
    const fix = `Add ${target} to filesystem_policy.read_only or read_write.`;
    throw new LaunchError('plan', `${target} is mounted but the policy does not list it`, fix);
  }
  return listed;
}

class ViewBuilder {
  readonly #spec: SandboxSpec;
  readonly #agent: Agent;
  readonly #host: HostFiles;
  readonly #listed: ReadonlyMap<string, boolean>;
  readonly #entries = new Map<string, ViewEntry>();
  readonly #warnings: string[] = [];
  #etc = false;
  #procWritable = false;

  constructor(spec: SandboxSpec, agent: Agent, hostFiles: HostFiles) {
    this.#spec = spec;
    this.#agent = agent;
    this.#host = hostFiles;
    this.#listed = listPaths(spec);
  }

  build(): View {
    for (const [target, write] of this.#listed) this.#add(target, write);
    if (this.#etc) this.#addAlternatives();
    this.#dropRepeated();
    this.#hide();
    this.#pinParents();
    this.#giveOwners();
    this.#checkMountPoints();
    const entries = this.#sorted();
    return { entries, etc: this.#etc, procWritable: this.#procWritable, warnings: this.#warnings };
  }

  /** Where a path inside comes from; undefined: from nowhere, it is fresh. */
  #source(target: string): string | undefined {
    const { workdir, home, mounts } = this.#spec;
    const places: { target: string; source: string | undefined }[] = [
      { target: HOME, source: home },
      workdir,
      ...mounts,
    ];
    const best = places
      .filter((place) => within(target, place.target))
      .reduce<(typeof places)[number] | undefined>(
        (longest, place) => (longest === undefined || place.target.length >= longest.target.length ? place : longest),
        undefined,
      );
    if (best === undefined) return target;
    return best.source === undefined ? undefined : move(target, best.target, best.source);
  }

  #isGiven(target: string): boolean {
    const { workdir, home, mounts } = this.#spec;
    return [workdir, ...mounts].some((place) => place.target === target) || (home !== undefined && target === HOME);
  }

  #add(target: string, write: boolean): void {
    if (this.#isGiven(target)) checkGiven(target);
    if (this.#isGiven(target)) this.#addBind(target, write);
    else if (within(target, '/proc')) this.#procWritable ||= write && target === '/proc';
    else if (within(target, '/dev')) checkDevice(target);
    else if (target === '/etc') this.#addEtc(write);
    else if (target === '/tmp') this.#entries.set(target, { kind: 'tmpfs', target, write, directory: true });
    else this.#addBind(target, write);
  }

  #addEtc(write: boolean): void {
    if (write) throw new LaunchError('plan', '/etc cannot be writable', 'List it under read_only: it is synthesised.');
    this.#etc = true;
  }

  /** Programs in /usr/bin that are links into /etc/alternatives. */
  #addAlternatives(): void {
    const path = '/etc/alternatives';
    if (!this.#entries.has(path) && this.#host.lstat(path)?.kind === 'directory') this.#addBind(path, false);
  }

  #addBind(target: string, write: boolean): void {
    const source = this.#source(target);
    if (source === undefined) {
      this.#entries.set(target, { kind: 'tmpfs', target, write, directory: true });
      return;
    }
    const real = this.#host.realpath(source);
    const found = real === undefined ? undefined : this.#host.lstat(real);
    if (real === undefined || found === undefined) {
      this.#missing(target, source);
      return;
    }
    if (real === '/')
      throw new LaunchError('plan', `${target} is the host's root directory`, 'Name another directory.');
    if (write && real !== source) {
      // Whoever could write its parent once may have put the link there.
      const what = `${source} is reached through a symbolic link, to ${real}, and would be writable`;
      throw new LaunchError('plan', what, 'List the real path if you mean it.');
    }
    const link = this.#asLink(target, source, real);
    this.#entries.set(target, link ?? { kind: 'bind', target, source: real, write, directory: isDirectory(found) });
  }

  /** A link on the host (/bin -> usr/bin) stays one when what it leads to is listed itself. */
  #asLink(target: string, source: string, real: string): ViewEntry | undefined {
    if (target !== source || this.#host.lstat(source)?.kind !== 'symlink') return undefined;
    const shown = [...this.#listed.keys()].some((path) => path !== target && within(real, path));
    return shown ? { kind: 'symlink', target, to: this.#host.readlink(source) } : undefined;
  }

  #missing(target: string, source: string): void {
    if (OPTIONAL.has(target)) return;
    const strict = this.#spec.policy.landlock.compatibility === 'hard_requirement';
    const from = source === target ? target : `${source} (for ${target})`;
    if (strict || this.#isGiven(target)) {
      const fix =
        'Create it, take it off the list, or set landlock.compatibility: best_effort to skip what is missing.';
      throw new LaunchError('plan', `${from} does not exist or cannot be reached`, fix);
    }
    this.#warnings.push(`${from} does not exist and is left out`);
  }

  /** The nearest entry above a path. */
  #above(target: string): Exclude<ViewEntry, { kind: 'symlink' }> | undefined {
    for (let path = posix.dirname(target); path !== '/'; path = posix.dirname(path)) {
      const entry = this.#entries.get(path);
      if (entry !== undefined && entry.kind !== 'symlink') return entry;
    }
    return undefined;
  }

  #sorted(): ViewEntry[] {
    return [...this.#entries.values()].sort(
      (a, b) => depth(a.target) - depth(b.target) || (a.target < b.target ? -1 : 1),
    );
  }

  /** What its parent shows already, with the same access, needs no mount of its own. */
  #dropRepeated(): void {
    for (const entry of this.#sorted()) {
      const parent = this.#above(entry.target);
      if (parent?.kind !== 'bind' || entry.kind === 'tmpfs') continue;
      const there = move(entry.target, parent.target, parent.source);
      const same = entry.kind === 'symlink' || (entry.source === there && entry.write === parent.write);
      if (same) this.#entries.delete(entry.target);
    }
  }

  /** An empty directory over each hidden one, wherever a bound directory would show it. */
  #hide(): void {
    for (const path of this.#spec.hidden ?? []) {
      const real = this.#host.realpath(path);
      if (real === undefined) continue;
      for (const entry of this.#sorted()) {
        if (entry.kind !== 'bind') continue;
        if (within(entry.source, real)) {
          const what = `${entry.target} lies in ${path}, which no sandbox may see`;
          throw new LaunchError('plan', what, 'Take it off the list, or choose another directory.');
        }
        if (!within(real, entry.source)) continue;
        const target = move(real, entry.source, entry.target);
        if (this.#above(target) === entry)
          this.#entries.set(target, { kind: 'tmpfs', target, write: false, directory: true });
      }
    }
  }

  /**
   * A mount point cannot be renamed, but its parent can, and then another directory could be put in its place. So
   * each directory between a writable one and what is mounted in it becomes a mount point, too.
   */
  #pinParents(): void {
    for (const entry of this.#sorted()) {
      const parent = this.#above(entry.target);
      if (parent?.kind !== 'bind' || !parent.write || entry.kind === 'symlink') continue;
      for (let path = posix.dirname(entry.target); path !== parent.target; path = posix.dirname(path)) {
        const source = move(path, parent.target, parent.source);
        this.#entries.set(path, { kind: 'bind', target: path, source, write: true, directory: true });
      }
    }
  }

  #giveOwners(): void {
    if (!this.#agent.privileged) return;
    for (const entry of this.#sorted()) {
      if (entry.kind !== 'bind') continue;
      const parent = this.#above(entry.target);
      const inherited = parent?.kind === 'bind' && within(entry.source, parent.source) ? parent.owner : undefined;
      const owner = inherited ?? this.#ownerOf(entry);
      if (owner !== undefined) this.#entries.set(entry.target, { ...entry, owner });
    }
  }

  #ownerOf(entry: { target: string; source: string; write: boolean }): Owner | undefined {
    const found = this.#host.lstat(entry.source);
    const given = this.#isGiven(entry.target);
    if (found === undefined || !(entry.write || given)) return undefined;
    // What everybody may write needs no owner; to own it (a sticky /var/tmp) would be too much.
    if (!given && (found.mode & 0o002) !== 0) return undefined;
    const { uid, gid } = found;
    return uid === this.#agent.uid && gid === this.#agent.gid ? undefined : { uid, gid };
  }

  #checkMountPoints(): void {
    for (const entry of this.#sorted()) {
      const parent = this.#above(entry.target);
      if (parent?.kind !== 'bind') continue;
      const there = move(entry.target, parent.target, parent.source);
      if (this.#host.realpath(there) === there) continue;
      const what = `${entry.target} has no place inside ${parent.target}: ${there} does not exist or is a symbolic link`;
      throw new LaunchError('plan', what, 'Create it, or list the path that it leads to.');
    }
  }
}

function isDirectory(found: HostFile): boolean {
  return found.kind === 'directory';
}

function checkGiven(path: string): void {
  if (!within(path, '/proc') && !within(path, '/dev') && path !== '/etc') return;
  throw new LaunchError('plan', `nothing can be mounted at ${path}: every sandbox has its own`, 'Choose another path.');
}

function checkDevice(path: string): void {
  if (DEVICES.test(path)) return;
  throw new LaunchError('plan', `${path}: devices of the host are not available inside`, 'Take it off the list.');
}

/**
 * Turns the lists of a policy into the root that the command sees: each listed path, its access, where it comes from.
 * @throws LaunchError for a path that is missing (under `hard_requirement`), not normal, or impossible
 */
export function buildView(spec: SandboxSpec, agent: Agent, hostFiles: HostFiles): View {
  return new ViewBuilder(spec, agent, hostFiles).build();
}
