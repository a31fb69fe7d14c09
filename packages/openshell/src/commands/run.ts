import { homedir } from 'node:os';
import { resolve } from 'node:path';
import { printablePlan } from '@nemoclaw/sandbox';
import { ephemeralName, nemoclawHome, sandboxName, sandboxPaths, UsageError } from '../home.ts';
import { parseEnv, parseHosts, readPolicy, type SandboxRequest, workDirectory } from '../request.ts';
import { planSandbox, supervise } from '../supervisor.ts';
import { readCertificates } from '../trust.ts';

interface RunOptions {
  readonly policy?: string;
  readonly name?: string;
  readonly workdir?: string;
  readonly env: readonly string[];
  readonly addHost: readonly string[];
  readonly upstreamCa: readonly string[];
  readonly auditDir?: string;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** `openshell run`: the exit status is the program's, 128+signal when a signal ended it. */
export async function run(command: readonly string[], options: RunOptions): Promise<number> {
  const request = requestOf(command, options);
  if (options.dryRun) {
    const plan = await planSandbox(request);
    const { describePlan } = await import('../describe-plan.ts');
    process.stdout.write(options.json ? `${JSON.stringify(printablePlan(plan), null, 2)}\n` : describePlan(plan));
    return 0;
  }
  const begin = performance.now();
  const { finished, auditDirectory } = await supervise(request);
  const { code, failure } = await finished;
  if (failure && !options.json) process.stderr.write(`openshell: ${failure.message}\n`);
  if (process.stderr.isTTY && !options.json)
    process.stderr.write(`openshell: recorded; openshell logs ${logName(request, options)}\n`);
  if (options.json) {
    const summary = {
      sandbox: request.name,
      exit_code: code,
      ...(failure ? { error: failure.message } : {}),
      audit: auditDirectory,
      milliseconds: Math.round(performance.now() - begin),
    };
    process.stderr.write(`${JSON.stringify(summary)}\n`);
  }
  return code;
}

/** By which name `openshell logs` finds the log of a run. */
function logName(request: SandboxRequest, options: RunOptions): string {
  return options.auditDir === undefined ? request.name : request.auditDirectory;
}

function requestOf(command: readonly string[], options: RunOptions): SandboxRequest {
  const name = options.name === undefined ? ephemeralName() : sandboxName(options.name);
  const home = nemoclawHome();
  const paths = sandboxPaths(home, name);
  const auditDirectory = options.auditDir === undefined ? paths.audit : resolve(options.auditDir);
  const workdir = workDirectory(options.workdir ?? process.cwd());
  if (workdir === resolve(homedir()) && !options.json) {
    process.stderr.write(`openshell: all of your home directory is writable inside; --workdir DIR gives less\n`);
  }
  if (options.auditDir !== undefined && `${auditDirectory}/`.startsWith(`${workdir}/`)) {
    throw new UsageError(
      `--audit-dir ${auditDirectory} lies in the working directory, where a later sandbox could reach it; choose another`,
    );
  }
  return {
    name,
    policy: readPolicy(options.policy),
    workdir: { source: workdir, target: workdir },
    mounts: [],
    files: [],
    command,
    cwd: workdir,
    env: { ...terminal(), ...parseEnv(options.env, process.env) },
    hosts: parseHosts(options.addHost),
    upstreamCa: options.upstreamCa.flatMap(readCertificates),
    hidden: options.auditDir === undefined ? [home] : [home, auditDirectory],
    auditDirectory,
    signingKey: paths.signingKey,
    facts: [],
  };
}

/** What a program needs to draw on the terminal, and nothing else of the caller's environment. */
function terminal(): Record<string, string> {
  const names = ['TERM', 'COLORTERM', 'LANG', 'LC_ALL', 'TZ'];
  return parseEnv(
    names.filter((name) => process.env[name] !== undefined),
    process.env,
  );
}
