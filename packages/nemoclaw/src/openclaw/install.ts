import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureDirectory } from 'openshell';
import { finishInstall } from './finish-install.ts';

/** What could not be installed, and what to try next. */
export class InstallError extends Error {
  override readonly name = 'InstallError';
}

/** The installed agent. */
export interface Agent {
  readonly version: string;
  /** Subresource integrity of the `openclaw` tarball, as npm verified it. */
  readonly integrity: string;
  /** Host directory that holds its `node_modules`. */
  readonly directory: string;
}

/** What we pin: the package.json and the lockfile, with the integrity of every package OpenClaw brings. */
const PINNED = fileURLToPath(new URL('../../agents/openclaw', import.meta.url));
const RECORD = 'installed.json';

interface Lockfile {
  readonly packages: Readonly<Record<string, { readonly version: string; readonly integrity: string }>>;
}

/**
 * Installs the pinned OpenClaw from npm under `$NEMOCLAW_HOME/agents/openclaw/<version>`, once. `npm ci` checks every
 * tarball against our lockfile; install scripts do not run on the host (see `finishInstall`). The directory appears
 * complete or not at all.
 * @param progress called with a line a person can read, at once and then every few seconds
 */
export async function installOpenClaw(home: string, progress: (line: string) => void): Promise<Agent> {
  const lock = readFileSync(join(PINNED, 'package-lock.json'));
  const pinned = (JSON.parse(lock.toString('utf8')) as Lockfile).packages['node_modules/openclaw'];
  if (!pinned) throw new InstallError('the lockfile of OpenClaw in this clone is damaged; restore it with git');
  const { version, integrity } = pinned;
  const directory = join(home, 'agents', 'openclaw', version);
  const record = { version, integrity, lockfile: createHash('sha256').update(lock).digest('hex') };
  if (isInstalled(directory, record)) return { version, integrity, directory };

  const staging = join(ensureDirectory(dirname(directory)), `.${version}-${randomBytes(4).toString('hex')}`);
  const clean = (): void => rmSync(staging, { recursive: true, force: true });
  const begin = performance.now();
  const seconds = (): string => `${((performance.now() - begin) / 1000).toFixed(0)} s`;
  progress(`installing OpenClaw ${version} from npm (about 650 MB on disk, once) …`);
  const ticker = setInterval(() => progress(`  still installing OpenClaw, ${seconds()} …`), 10_000);
  process.once('exit', clean);
  try {
    mkdirSync(staging, { mode: 0o755 });
    for (const file of ['package.json', 'package-lock.json']) copyFileSync(join(PINNED, file), join(staging, file));
    await npmCi(staging);
    progress(`  packages checked (${seconds()}); a first start, sandboxed and without a network …`);
    await finishInstall(staging, home).catch((error: Error) => {
      throw new InstallError(`OpenClaw did not start after its installation: ${error.message}`);
    });
    writeFileSync(join(staging, RECORD), `${JSON.stringify(record, null, 2)}\n`);
    rmSync(directory, { recursive: true, force: true });
    renameSync(staging, directory);
  } finally {
    clearInterval(ticker);
    process.off('exit', clean);
    clean();
  }
  progress(`OpenClaw ${version} is ready (${seconds()}; ${integrity.slice(0, 18)}…)`);
  return { version, integrity, directory };
}

function isInstalled(directory: string, record: Readonly<Record<string, string>>): boolean {
  try {
    const found = JSON.parse(readFileSync(join(directory, RECORD), 'utf8')) as Record<string, string>;
    return Object.entries(record).every(([key, value]) => found[key] === value);
  } catch {
    return false; // absent or damaged: installed anew
  }
}

/** Runs `npm ci` with the npm that started us, or the one on PATH, on its own Node: its configuration hangs on that. */
function npmCi(directory: string): Promise<void> {
  const script = process.env.npm_execpath;
  const node = process.env.npm_node_execpath;
  const [program, prefix] = node !== undefined && script?.endsWith('npm-cli.js') ? [node, [script]] : ['npm', []];
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  return new Promise((resolve, reject) => {
    // Readable by the unprivileged user that the agent becomes when root starts it.
    const umask = process.umask(0o022);
    const child = spawn(program, [...prefix, ...args], {
      cwd: directory,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    process.umask(umask);
    const stop = (): boolean => child.kill();
    process.once('exit', stop);
    let output = '';
    const keep = (chunk: Buffer): void => {
      output = `${output}${chunk.toString('utf8')}`.slice(-4000);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.once('error', (error) =>
      reject(new InstallError(`cannot run npm: ${error.message}. Install npm and try again.`)),
    );
    child.once('close', (code, signal) => {
      process.off('exit', stop);
      if (code === 0) return resolve();
      const end = signal ?? `exit ${code}`;
      reject(
        new InstallError(
          `npm could not install OpenClaw (${end}). Is the npm registry within reach?\n${output.trim()}`,
        ),
      );
    });
  });
}
