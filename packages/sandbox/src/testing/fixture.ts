import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chownSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Policy } from '@nemoclaw/policy';
import { planLaunch } from '../compose.ts';
import { type Exit, launch, type RunningSandbox } from '../launch.ts';
import type { KernelEvent } from '../monitor.ts';
import type { LaunchPlan, Step } from '../plan.ts';
import { type KernelFacts, probeKernel } from '../probe.ts';
import type { SandboxSpec } from '../spec.ts';

/** What the tests share: a scratch directory, a spec that works on any Linux, and a way to run a command to its end. */

export const facts: KernelFacts = await probeKernel();
export const isRoot = facts.uid === 0;

/** A fresh directory, removed after the tests of the file. */
export function scratch(): string {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'openshell-test-')));
  after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export const SYSTEM_PATHS = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32', '/etc', '/proc'];

export function testPolicy(filesystem: Partial<Policy['filesystem']> = {}, more: Partial<Policy> = {}): Policy {
  return {
    version: 1,
    filesystem: { includeWorkdir: true, readOnly: SYSTEM_PATHS, readWrite: ['/tmp', '/dev/null'], ...filesystem },
    landlock: { compatibility: 'hard_requirement' },
    process: {},
    networkPolicies: [],
    tools: { default: 'allow', rules: [] },
    source: { file: 'test.yaml', digest: '', lines: new Map() },
    ...more,
  };
}

/** A spec whose workdir is `workdir`, at the same path inside. */
export function testSpec(workdir: string, command: readonly string[], more: Partial<SandboxSpec> = {}): SandboxSpec {
  return {
    name: 'test',
    policy: testPolicy(),
    workdir: { source: workdir, target: workdir },
    mounts: [],
    files: [],
    hostname: 'box',
    command,
    cwd: workdir,
    env: {},
    ...more,
  };
}

export interface Result extends Exit {
  readonly stdout: string;
  readonly stderr: string;
  readonly events: readonly KernelEvent[];
}

async function collect(stream: NodeJS.ReadableStream | null): Promise<string> {
  if (stream === null) return '';
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString();
}

export interface RunOptions {
  readonly input?: string;
  /** Changes the plan before it runs: how a test takes a protection away. */
  readonly change?: (steps: readonly Step[]) => readonly Step[];
  /** Called when the sandbox is up, before its command starts. */
  readonly attach?: (sandbox: RunningSandbox) => void;
}

/** Runs a plan to its end. TCP connections are reset, questions to name servers go unanswered. */
export async function runPlan(plan: LaunchPlan, options: RunOptions = {}): Promise<Result> {
  const steps = options.change?.(plan.steps) ?? plan.steps;
  const sandbox = await launch({ ...plan, steps }, { stdio: ['pipe', 'pipe', 'pipe'] });
  const events: KernelEvent[] = [];
  sandbox.onEvent((event) => events.push(event));
  if (options.attach === undefined) sandbox.tcp.on('connection', (socket) => socket.resetAndDestroy());
  options.attach?.(sandbox);
  const output = Promise.all([collect(sandbox.stdout), collect(sandbox.stderr)]);
  sandbox.release();
  sandbox.stdin?.on('error', () => {});
  sandbox.stdin?.end(options.input ?? '');
  const [exit, [stdout, stderr]] = await Promise.all([sandbox.exited, output]);
  return { ...exit, stdout, stderr, events };
}

export function run(spec: SandboxSpec, options: RunOptions = {}): Promise<Result> {
  return runPlan(planLaunch(spec, facts), options);
}

/** Takes every step of these kinds out of a plan. */
export function without(...ops: readonly Step['op'][]): (steps: readonly Step[]) => readonly Step[] {
  return (steps) => steps.filter((step) => !ops.includes(step.op));
}

export const noLandlock = without('landlock', 'landlock_path', 'landlock_seal');
export const noAllowList = (steps: readonly Step[]): readonly Step[] =>
  steps.filter((step) => step.op !== 'seccomp' || step.listener);
export const noNamespaceLimits = (steps: readonly Step[]): readonly Step[] =>
  steps.filter((step) => step.op !== 'write' || !step.path.includes('namespaces'));
export const compose =
  (...changes: readonly ((steps: readonly Step[]) => readonly Step[])[]) =>
  (steps: readonly Step[]): readonly Step[] =>
    changes.reduce((now, change) => change(now), steps);

/** Builds a C program of native/test into a directory where the sandbox can run it. */
export function buildProgram(name: string, directory: string): string {
  const source = fileURLToPath(new URL(`../../native/test/${name}.c`, import.meta.url));
  const output = join(directory, name);
  execFileSync('cc', ['-std=gnu11', '-Wall', '-Werror', '-O1', '-static', source, '-o', output]);
  return output;
}

/** A directory that the agent owns on the host, whoever that is. */
export function ownedDirectory(parent: string, name: string): string {
  const path = join(parent, name);
  mkdirSync(path);
  if (isRoot) chownSync(path, 0, 0);
  return path;
}

/** Waits until a condition holds; fails with its description after ten seconds. */
export async function eventually(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!(await holds())) {
    assert.ok(Date.now() < deadline, `not within 10 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
