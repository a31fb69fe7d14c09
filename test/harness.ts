import { execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type LogEntry, readLog } from '@nemoclaw/audit';
import { CertificateAuthority } from '@nemoclaw/egress';

export const REPOSITORY = fileURLToPath(new URL('..', import.meta.url));
export const OPENSHELL = join(REPOSITORY, 'packages/openshell/bin/openshell');
const NEMOCLAW = join(REPOSITORY, 'packages/nemoclaw/bin/nemoclaw');

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Run when the test file ends, in whichever hook or test it was asked for. */
const cleanups: (() => void)[] = [];
after(() => {
  for (const clean of cleanups.reverse()) clean();
});

/** A directory of this test's own, removed when the test file ends. */
export function scratch(prefix: string): string {
  const directory = mkdtempSync(join(tmpdir(), `nemoclaw-${prefix}-`));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A NEMOCLAW_HOME and a workdir of this test's own. */
export function workplace(prefix: string) {
  const directory = scratch(prefix);
  const home = join(directory, 'home');
  const workdir = join(directory, 'work');
  mkdirSync(workdir);
  return {
    directory,
    home,
    workdir,
    /** Writes a file beside the workdir and returns its path. */
    file(name: string, content: string): string {
      const path = join(directory, name);
      writeFileSync(path, content);
      return path;
    },
  };
}
export type Workplace = ReturnType<typeof workplace>;

interface Invocation {
  readonly home: string;
  readonly cwd?: string;
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs a program to its end with only the environment it is given. */
export function runProgram(
  file: string,
  args: readonly string[],
  { home, cwd, input, env }: Invocation,
): Promise<Finished> {
  return new Promise((resolve) => {
    const child = execFile(
      file,
      args,
      {
        cwd: cwd ?? home,
        env: {
          PATH: process.env.PATH ?? '/usr/bin:/bin',
          HOME: process.env.HOME ?? '/',
          NEMOCLAW_HOME: home,
          ...env,
        },
        maxBuffer: 64 * 1024 * 1024,
        encoding: 'utf8',
      },
      (_error, stdout, stderr) => resolve({ code: child.exitCode, signal: child.signalCode, stdout, stderr }),
    );
    child.stdin?.end(input ?? '');
  });
}

export const openshell = (args: readonly string[], invocation: Invocation): Promise<Finished> =>
  runProgram(OPENSHELL, args, invocation);
export const nemoclaw = (args: readonly string[], invocation: Invocation): Promise<Finished> =>
  runProgram(NEMOCLAW, args, invocation);

/** Starts `openshell` and leaves it running. */
export function startOpenshell(args: readonly string[], { home, cwd }: Invocation) {
  return spawn(OPENSHELL, args, {
    cwd: cwd ?? home,
    env: { PATH: process.env.PATH ?? '/usr/bin:/bin', HOME: process.env.HOME ?? '/', NEMOCLAW_HOME: home },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
}

/** Every record of a log. */
export async function records(directory: string): Promise<LogEntry[]> {
  const entries: LogEntry[] = [];
  for await (const entry of readLog(directory)) entries.push(entry);
  return entries;
}

export interface TestOrigin {
  readonly port: number;
  readonly certificatePem: string;
  /** `METHOD path` of each request that arrived. */
  readonly seen: string[];
}

/** An https server on loopback with a certificate of its own authority; closed when the test file ends. */
export async function origin(host: string, listener?: RequestListener): Promise<TestOrigin> {
  const authority = await CertificateAuthority.create('test origin');
  const { key, cert } = await authority.leaf(host);
  const seen: string[] = [];
  const server = createServer({ key, cert }, (request, response) => {
    seen.push(`${request.method} ${request.url}`);
    if (listener) return listener(request, response);
    request.resume();
    response.end('from the origin\n');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return { port: (server.address() as AddressInfo).port, certificatePem: authority.certificatePem, seen };
}
