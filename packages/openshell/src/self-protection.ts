import { existsSync, realpathSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Policy } from '@nemoclaw/policy';
import type { SandboxRequest } from './request.ts';

const INSTALLATION = fileURLToPath(new URL('../../..', import.meta.url));
/** What runs on the host the next time someone starts, tests or commits here. */
const OWN_CODE = [
  ...['packages', 'node_modules', 'policies', 'scripts', 'test', 'bench', '.ci', '.npmrc'],
  ...['package.json', 'package-lock.json', '.git/hooks', '.git/config'],
];

const holds = (outer: string, inner: string): boolean => inner === outer || inner.startsWith(`${outer}/`);

/**
 * The policy, with our own program read-only wherever a writable directory would show it: an agent that works in a
 * clone of this repository, or above one, must not be able to rewrite what will hold it.
 */
export function protectOwnProgram(request: SandboxRequest): Policy {
  const { policy, workdir } = request;
  const { filesystem } = policy;
  const mounted = new Map(request.mounts.map(({ source, target }) => [target, source]));
  const writable = filesystem.readWrite
    .filter((path) => path !== '/tmp')
    .map((target) => ({ target, source: mounted.get(target) ?? target }));
  if (filesystem.includeWorkdir) writable.push(workdir);
  const shown = OWN_CODE.map((name) => join(INSTALLATION, name))
    .filter((path) => existsSync(path))
    .map((path) => realpathSync(path))
    .flatMap((path) =>
      writable
        .filter(({ source }) => existsSync(source) && holds(realpathSync(source), path))
        .map(({ source, target }) => join(target, relative(realpathSync(source), path))),
    );
  const readOnly = [...new Set([...filesystem.readOnly, ...shown])];
  return { ...policy, filesystem: { ...filesystem, readOnly } };
}
