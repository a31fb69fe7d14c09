import { existsSync, lstatSync, readlinkSync, realpathSync } from 'node:fs';
import { dirname, isAbsolute, join, parse, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Policy } from '@nemoclaw/policy';
import { UsageError } from './home.ts';
import type { SandboxRequest } from './request.ts';

const INSTALLATION = realpathSync(fileURLToPath(new URL('../../..', import.meta.url)));
/** What runs on the host the next time someone starts, tests or commits here. */
const OWN_CODE = [
  ...['packages', 'node_modules', 'policies', 'scripts', 'test', 'bench', '.ci', '.npmrc'],
  ...['package.json', 'package-lock.json', '.git/hooks', '.git/config'],
];
const MAX_LINKS = 40; // as the kernel's own (path_resolution(7))

const holds = (outer: string, inner: string): boolean => inner === outer || inner.startsWith(`${outer}/`);
const real = (path: string): string => (existsSync(path) ? realpathSync(path) : path);

interface Writable {
  readonly source: string;
  readonly target: string;
}

/** Host directories that the agent can write, and where it sees them. */
function writableDirectories({ policy, workdir, mounts, home }: SandboxRequest): Writable[] {
  const mounted = new Map(mounts.map(({ source, target }) => [target, source]));
  const list = policy.filesystem.readWrite
    .filter((path) => path !== '/tmp')
    .map((target) => ({ target, source: mounted.get(target) ?? target }));
  if (policy.filesystem.includeWorkdir) list.push(workdir);
  if (home !== undefined) list.push({ source: home, target: '/sandbox' });
  return list.map(({ source, target }) => ({ source: real(source), target }));
}

/**
 * The policy, with what decides about the next sandbox read-only wherever a writable directory would show it: our own
 * program (an agent may work in a clone of this repository, or above one) and the policy's own file.
 * @throws UsageError where that cannot be had: a working directory within our program, or a NEMOCLAW_HOME that is
 *   reached through a symbolic link which the agent could turn
 */
export function protectOwnProgram(request: SandboxRequest): Policy {
  const { policy } = request;
  const writable = writableDirectories(request);
  const own = OWN_CODE.map((name) => join(INSTALLATION, name)).filter((path) => existsSync(path));
  for (const { source } of writable) {
    const code = own.find((path) => holds(path, source));
    if (code !== undefined) {
      throw new UsageError(
        `${source} lies in OpenShell's own program (${code}), which no sandbox may change; choose another directory`,
      );
    }
    for (const path of request.hidden) {
      const link = symbolicLinks(resolve(path)).find((each) => holds(source, dirname(each)));
      if (link === undefined) continue;
      throw new UsageError(
        `${path} is reached through ${link}, which the sandbox could turn; set NEMOCLAW_HOME to ${real(path)}`,
      );
    }
  }
  const files = [...own, resolve(policy.source.file)]
    .filter((path) => existsSync(path))
    .map((path) => realpathSync(path));
  const shown = files.flatMap((path) =>
    writable
      .filter(({ source }) => holds(source, path))
      .map(({ source, target }) => join(target, relative(source, path))),
  );
  const readOnly = [...new Set([...policy.filesystem.readOnly, ...shown])];
  return { ...policy, filesystem: { ...policy.filesystem, readOnly } };
}

/** Every symbolic link that is followed on the way to an absolute path, by its real place. */
function symbolicLinks(path: string): string[] {
  const links: string[] = [];
  let at = parse(path).root;
  const rest = path.split(sep).filter(Boolean);
  for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
    const next = name === '..' ? dirname(at) : join(at, name);
    if (!lstatSync(next, { throwIfNoEntry: false })?.isSymbolicLink()) {
      at = next;
      continue;
    }
    links.push(next);
    if (links.length > MAX_LINKS) return links;
    const target = readlinkSync(next);
    if (isAbsolute(target)) at = parse(target).root;
    rest.unshift(...target.split(sep).filter((part) => part !== '' && part !== '.'));
  }
  return links;
}
