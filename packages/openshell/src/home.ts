import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, parse, resolve, sep } from 'node:path';

/** A mistake in what the user asked for: printed without a stack, exit status 125 unless told otherwise. */
export class UsageError extends Error {
  readonly exitCode: number;
  constructor(message: string, exitCode = 125) {
    super(message);
    this.name = 'UsageError';
    this.exitCode = exitCode;
  }
}

/** Where everything is kept: `$NEMOCLAW_HOME`, by default `~/.nemoclaw`. */
export function nemoclawHome(env: NodeJS.ProcessEnv = process.env): string {
  return resolve(env.NEMOCLAW_HOME || join(homedir(), '.nemoclaw'));
}

/** The directories under {@link nemoclawHome} that concern one sandbox. */
export function sandboxPaths(home: string, name: string) {
  return {
    home: join(home, 'sandboxes', name, 'home'),
    audit: join(home, 'audit', name),
    signingKey: join(home, 'credentials', 'audit-signing.key'),
  };
}

/** The directories of {@link nemoclawHome} that no sandbox has any part of. */
export function ownState(home: string): string[] {
  return ['audit', 'cache', 'credentials'].map((name) => join(home, name));
}

const NAME = /^[a-z][a-z0-9-]{0,39}$/;

/** Checks a sandbox name: 1 to 40 characters, `[a-z][a-z0-9-]*`. */
export function sandboxName(text: string): string {
  if (NAME.test(text)) return text;
  const suggestion = text
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^[^a-z]+/, '')
    .replace(/-+$/, '')
    .slice(0, 40);
  const hint = NAME.test(suggestion) ? `; try \`${suggestion}\`` : '';
  throw new UsageError(
    `${JSON.stringify(text)} is not a sandbox name: a-z first, then a-z, 0-9 or -, 40 characters at most${hint}`,
  );
}

/** A name for a sandbox that nobody named: `run-` and six random hex digits. */
export function ephemeralName(): string {
  return `run-${randomBytes(3).toString('hex')}`;
}

/** Makes a directory, and those above it, for this user alone where they do not exist yet. Checks nothing else. */
export function ensureDirectory(path: string): string {
  // One by one: Node's own recursive mode does not come back from file systems that refuse with ENOENT (/proc).
  let at = parse(path).root;
  for (const name of path.split(sep).filter(Boolean)) {
    at = join(at, name);
    try {
      if (!existsSync(at)) mkdirSync(at, { mode: 0o700 });
    } catch (error) {
      throw new UsageError(
        `cannot make the directory ${at} (${(error as NodeJS.ErrnoException).code}); choose another place`,
      );
    }
  }
  if (!statSync(path).isDirectory()) throw new UsageError(`${path} is not a directory; choose another place`);
  return path;
}
