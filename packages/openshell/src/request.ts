import { readFileSync, realpathSync, statSync } from 'node:fs';
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ConfigEvent } from '@nemoclaw/audit';
import { type Policy, parsePolicy } from '@nemoclaw/policy';
import { UsageError } from './home.ts';

/** Everything the supervisor needs to know to run one sandbox. */
export interface SandboxRequest {
  readonly name: string;
  readonly policy: Policy;
  /** Host directory and where it appears inside. */
  readonly workdir: { readonly source: string; readonly target: string };
  /** Host directory kept at /sandbox; absent: a fresh one in memory. */
  readonly home?: string;
  readonly mounts: readonly { readonly source: string; readonly target: string }[];
  readonly files: readonly { readonly path: string; readonly content: string | Uint8Array; readonly mode: number }[];
  readonly command: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly hosts: ReadonlyMap<string, { readonly address: string; readonly port?: number }>;
  readonly upstreamCa: readonly string[];
  /** Host directories that no path of the policy may show: logs, keys, our own state. */
  readonly hidden: readonly string[];
  readonly auditDirectory: string;
  readonly signingKey: string;
  /** More to put on record at the start, such as which agent runs. */
  readonly facts: readonly ConfigEvent[];
}

const DEFAULT_POLICY = fileURLToPath(new URL('../../../policies/restricted.yaml', import.meta.url));

/** Reads and parses a policy file; without one, the restrictive default of this repository. */
export function readPolicy(file: string = DEFAULT_POLICY): Policy {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(
      `cannot read the policy ${file} (${(error as NodeJS.ErrnoException).code}); give the path of a YAML file`,
    );
  }
  return parsePolicy(text, file);
}

/** `K=V`, or `K` to take the caller's own value. */
export function parseEnv(entries: readonly string[], from: NodeJS.ProcessEnv): Record<string, string> {
  const env: Record<string, string> = {};
  for (const entry of entries) {
    const split = entry.indexOf('=');
    const name = split < 0 ? entry : entry.slice(0, split);
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) throw new UsageError(`--env ${entry}: not a variable name`);
    const value = split < 0 ? from[name] : entry.slice(split + 1);
    if (value === undefined) throw new UsageError(`--env ${name}: not set here; give it as ${name}=VALUE`);
    env[name] = value;
  }
  return env;
}

const HOST_NAME = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/;

/** `NAME=IP` or `NAME=IP:PORT`, an IPv6 address with a port in brackets: the operator's word on where a name leads. */
export function parseHosts(entries: readonly string[]): Map<string, { address: string; port?: number }> {
  const hosts = new Map<string, { address: string; port?: number }>();
  for (const entry of entries) {
    const split = entry.indexOf('=');
    const name = entry.slice(0, split).toLowerCase();
    const target = entry.slice(split + 1);
    const match = /^\[([0-9a-fA-F:.]+)\](?::(\d{1,5}))?$/.exec(target) ?? /^([0-9.]+)(?::(\d{1,5}))?$/.exec(target);
    const address = match?.[1] ?? target;
    const port = match?.[2] === undefined ? undefined : Number(match[2]);
    if (
      split < 1 ||
      !HOST_NAME.test(name) ||
      isIP(address) === 0 ||
      (port !== undefined && (port < 1 || port > 65535))
    ) {
      throw new UsageError(`--add-host ${entry}: expected NAME=IP or NAME=IP:PORT (IPv6 with a port: NAME=[IP]:PORT)`);
    }
    hosts.set(name, port === undefined ? { address } : { address, port });
  }
  return hosts;
}

/** The real path of a directory that will be given to the sandbox. */
export function workDirectory(path: string): string {
  let real: string;
  try {
    real = realpathSync(path);
  } catch (error) {
    throw new UsageError(
      `--workdir ${path}: no such directory, or not to be reached (${(error as NodeJS.ErrnoException).code})`,
    );
  }
  if (real !== resolve(path)) {
    throw new UsageError(`--workdir ${path} goes through a symbolic link, to ${real}; give that path if you mean it`);
  }
  if (!statSync(real).isDirectory()) throw new UsageError(`--workdir ${path}: not a directory`);
  if (real === '/')
    throw new UsageError('--workdir /: refused, it would give the whole machine away; choose a directory below it');
  return real;
}
