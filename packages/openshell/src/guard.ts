import { existsSync, realpathSync } from 'node:fs';
import { dirname, relative } from 'node:path';
import { UsageError } from './home.ts';
import type { SandboxRequest } from './request.ts';

/** The real path of something that may not exist yet: that of its nearest existing ancestor, and the rest. */
function eventualPath(path: string): string {
  if (existsSync(path)) return realpathSync(path);
  const parent = dirname(path);
  return parent === path ? path : `${eventualPath(parent)}/${relative(parent, path)}`;
}

const holds = (outer: string, inner: string): boolean => outer === '/' || inner === outer || inner.startsWith(`${outer}/`);

/**
 * Refuses a sandbox that could see its own audit log or the key that signs it: the log is evidence about the agent,
 * so no directory that the agent is given may hold either.
 */
export function guardOwnState(request: SandboxRequest): void {
  const secrets = [request.auditDirectory, dirname(request.signingKey)].map(eventualPath);
  const mounted = new Map(request.mounts.map(({ source, target }) => [target, source]));
  const { readOnly, readWrite } = request.policy.filesystem;
  const given = [...readOnly, ...readWrite].map((path) => mounted.get(path) ?? path);
  // These four are made afresh for each sandbox, whatever the host has there.
  const host = given.filter((path) => !['/etc', '/proc', '/dev', '/tmp'].includes(path));
  for (const path of [...host, request.workdir.source, ...(request.home === undefined ? [] : [request.home])]) {
    const real = eventualPath(path);
    const secret = secrets.find((each) => holds(real, each) || holds(each, real));
    if (secret !== undefined) {
      throw new UsageError(
        `${path} would give the sandbox its own audit log or signing key (${secret}). ` +
          'Choose a directory that does not hold it, or set NEMOCLAW_HOME elsewhere.',
      );
    }
  }
}
