import { mkdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Verification, verifyLog } from '@nemoclaw/audit';
import { type Provider, resolveProvider, startRehearsal } from '@nemoclaw/inference';
import {
  ensureDirectory,
  nemoclawHome,
  ownState,
  readPolicy,
  type SandboxRequest,
  sandboxPaths,
  supervise,
  UsageError,
  workDirectory,
} from 'openshell';
import { type Agent, installOpenClaw } from '../openclaw/install.ts';
import { AGENT_SANDBOX, INSIDE, openClawTurn, readTurn } from '../openclaw/turn.ts';
import { printable, readOutput } from '../output.ts';
import { startOrigin } from '../rehearsal/origin.ts';
import { API_HOST, NOTES, rehearsalStory } from '../rehearsal/story.ts';
import { type Report, reportOf, reportTable } from '../report.ts';

interface AgentOptions {
  readonly provider?: string;
  readonly model?: string;
  readonly policy?: string;
  readonly workdir?: string;
  readonly json?: boolean;
}

const DEFAULT_POLICY = fileURLToPath(new URL('../../../../policies/openclaw.yaml', import.meta.url));
const REHEARSAL = 'rehearsal';

const say = (text: string): void => void process.stderr.write(`${text}\n`);
const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(1)} s`;

/** What stands around the sandbox for one turn, and must be taken down after it. */
interface Scene {
  readonly message: string;
  readonly provider: Provider;
  readonly hosts: SandboxRequest['hosts'];
  readonly upstreamCa: readonly string[];
  close(): Promise<void>;
}

/**
 * `nemoclaw agent`: one turn of the real OpenClaw in a sandbox, then what happened, from the audit log.
 * @returns OpenClaw's exit status; 1 when the log does not verify
 */
export async function agent(message: string, options: AgentOptions): Promise<number> {
  const home = ensureDirectory(nemoclawHome());
  const scene = await setScene(message, options, home);
  try {
    const openclaw = await interruptible(() => installOpenClaw(home, say));
    return await turn(scene, openclaw, options, home);
  } finally {
    await scene.close();
  }
}

/** Leaves through `exit` handlers when interrupted before there is a sandbox to pass the signal on to. */
async function interruptible<T>(work: () => Promise<T>): Promise<T> {
  const leave = (): never => process.exit(130);
  process.once('SIGINT', leave).once('SIGTERM', leave);
  try {
    return await work();
  } finally {
    process.off('SIGINT', leave).off('SIGTERM', leave);
  }
}

async function setScene(message: string, options: AgentOptions, home: string): Promise<Scene> {
  if ((options.provider ?? REHEARSAL) === REHEARSAL) {
    if (message !== '') {
      throw new UsageError(
        'the rehearsal is scripted and would not read your message; add --provider openai|anthropic|nvidia|ollama|<base-url>',
      );
    }
    if (options.workdir !== undefined) {
      throw new UsageError(
        'the rehearsal writes and commits files: it has a workspace of its own; --workdir goes with --provider',
      );
    }
    const { signingKey } = sandboxPaths(home, AGENT_SANDBOX);
    const origin = await startOrigin();
    const rehearsal = await startRehearsal(rehearsalStory(signingKey)).catch(async (error: unknown) => {
      await origin.close();
      throw error;
    });
    return {
      message: 'Summarise my notes.',
      provider: rehearsal.provider,
      hosts: new Map([[API_HOST, { address: '127.0.0.1', port: origin.port }]]),
      upstreamCa: [origin.certificatePem],
      close: async () => void (await Promise.all([origin.close(), rehearsal.close()])),
    };
  }
  if (message === '')
    throw new UsageError('what should the agent do? Give it a message: nemoclaw agent "…" --provider …');
  const provider = resolveProvider(options.provider ?? '', process.env, options.model);
  await reach(provider);
  return { message, provider, hosts: new Map(), upstreamCa: [], close: async () => {} };
}

const REACH_MS = 10_000;

/** Asks the provider for a sign of life, so that nobody waits for an agent that retries in vain. Any answer will do. */
async function reach(provider: Provider): Promise<void> {
  try {
    const response = await fetch(`${provider.baseUrl}/models`, {
      method: 'HEAD',
      signal: AbortSignal.timeout(REACH_MS),
    });
    await response.body?.cancel();
  } catch (error) {
    const cause = (error as Error).cause;
    const why = cause instanceof Error ? cause.message || String(Reflect.get(cause, 'code')) : (error as Error).message;
    throw new UsageError(
      `${provider.name} does not answer at ${provider.baseUrl} (${why}); is it running, and is that its address?`,
    );
  }
}

function requestOf(scene: Scene, openclaw: Agent, options: AgentOptions, home: string): SandboxRequest {
  const paths = sandboxPaths(home, AGENT_SANDBOX);
  const { command, env, files, mounts } = openClawTurn(openclaw.directory, scene.message);
  // The mount point of the workspace, in the agent's home.
  mkdirSync(join(ensureDirectory(paths.home), 'workspace'), { recursive: true });
  return {
    name: AGENT_SANDBOX,
    policy: readPolicy(options.policy ?? DEFAULT_POLICY),
    workdir: { source: workspace(scene, options, home), target: INSIDE.workspace },
    home: paths.home,
    command,
    cwd: INSIDE.workspace,
    env,
    files,
    mounts,
    hosts: scene.hosts,
    upstreamCa: scene.upstreamCa,
    hidden: ownState(home),
    auditDirectory: paths.audit,
    signingKey: paths.signingKey,
    facts: [
      {
        type: 'config',
        subject: 'agent',
        message: `OpenClaw ${openclaw.version}`,
        facts: { name: 'openclaw', version: openclaw.version, integrity: openclaw.integrity },
      },
    ],
  };
}

function workspace(scene: Scene, options: AgentOptions, home: string): string {
  if (options.workdir !== undefined) {
    const directory = workDirectory(options.workdir);
    if (`${realpathSync(home)}/`.startsWith(`${directory}/`)) {
      throw new UsageError(
        `--workdir ${options.workdir} holds ${home}, where the agent's program lies; choose a project directory`,
      );
    }
    return directory;
  }
  const name = scene.provider.scripted ? REHEARSAL : AGENT_SANDBOX;
  const directory = realpathSync(ensureDirectory(join(home, 'workspaces', name)));
  if (scene.provider.scripted) {
    // The agent has had this directory before: what it left under the name is removed, never written through.
    rmSync(join(directory, 'notes.md'), { recursive: true, force: true });
    writeFileSync(join(directory, 'notes.md'), NOTES, { flag: 'wx' });
  }
  return directory;
}

async function turn(scene: Scene, openclaw: Agent, options: AgentOptions, home: string): Promise<number> {
  const begin = performance.now();
  const request = requestOf(scene, openclaw, options, home);
  const { name, model, scripted } = scene.provider;
  say(
    `OpenClaw ${openclaw.version} in sandbox ${AGENT_SANDBOX}; model ${model} from ${name}${scripted ? ', scripted by us: no AI in it' : ''}`,
  );
  say(`policy ${request.policy.source.file}`);
  const supervised = await supervise(request, { provider: scene.provider, stdio: ['pipe', 'pipe', 'pipe'] });
  supervised.sandbox.stdin?.end();
  const started = performance.now();
  const [stdout, stderr, { code }] = await Promise.all([
    readOutput(supervised.sandbox.stdout),
    readOutput(supervised.sandbox.stderr),
    supervised.finished,
  ]);
  const ended = performance.now();
  const report = await reportOf(supervised.auditDirectory, supervised.firstSequence, INSIDE.workspace);
  const verification = await verifyLog(supervised.auditDirectory);
  const result = readTurn(stdout);
  const timing = { openclaw: ended - started, nemoclaw: performance.now() - begin - (ended - started) };
  if (options.json) {
    const answer = { exit_code: code, text: result?.text ?? null, provider: name, scripted: scripted ?? false, timing };
    process.stdout.write(
      `${JSON.stringify({ ...answer, audit: supervised.auditDirectory, verification, actions: report.rows })}\n`,
    );
  } else {
    tell(report, verification, supervised.auditDirectory, timing);
    process.stdout.write(
      `\nOpenClaw answered:\n  ${printable(result?.text ?? '') || `nothing we could read (exit ${code})`}\n`,
    );
    if (code !== 0 || !result) say(printable(stderr.slice(-2000)));
    next(scene);
  }
  return verification.ok ? code : 1;
}

function tell(
  report: Report,
  verification: Verification,
  directory: string,
  timing: { openclaw: number; nemoclaw: number },
): void {
  const out = (text: string): void => void process.stdout.write(`${text}\n`);
  out(`\n${reportTable(report, process.stdout.columns ?? 160)}`);
  out(`\n${report.rows.length} actions shown; ${report.folded} more of OpenClaw's own are in the log.`);
  out(
    verification.ok
      ? `Audit log: ${verification.records} records, verified (${verification.covered} under a signed head)`
      : `Audit log: DOES NOT VERIFY: ${verification.problems.join('; ')}`,
  );
  out(`  ${directory}`);
  out(`OpenClaw took ${seconds(timing.openclaw)}; NemoClaw added ${seconds(timing.nemoclaw)} around it.`);
}

function next(scene: Scene): void {
  const lines = [
    'npx openshell logs openclaw --denied            what was refused, and why',
    'npx openshell audit verify openclaw             the log is as it was written',
    'npx openshell run -- bash                       any program, sandboxed',
  ];
  if (scene.provider.scripted) lines.push('npm start -- "your own message" --provider ollama   a real model');
  process.stdout.write(`\nNext:\n${lines.map((line) => `  ${line}\n`).join('')}`);
}
