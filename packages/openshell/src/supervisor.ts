import { realpathSync } from 'node:fs';
import { isIP } from 'node:net';
import { AuditLog, type AuditSink, loadSigningKey } from '@nemoclaw/audit';
import { CertificateAuthority, certificateEnvironment, EgressPlane } from '@nemoclaw/egress';
import type { InferencePlane, Provider } from '@nemoclaw/inference';
import { type Action, type CompiledPolicy, compile, type Decision, decide } from '@nemoclaw/policy';
import {
  type Exit,
  type KernelFacts,
  type LaunchPlan,
  launch,
  planLaunch,
  probeKernel,
  type RunningSandbox,
} from '@nemoclaw/sandbox';
import { ensureDirectory } from './home.ts';
import { KernelRecorder } from './kernel-recorder.ts';
import type { SandboxRequest } from './request.ts';
import { protectOwnProgram } from './self-protection.ts';
import { forwardSignals } from './signals.ts';
import { BUNDLE_INSIDE, systemBundle } from './trust.ts';

/** The name under which the supervisor serves models inside the sandbox. */
export const INFERENCE_HOST = 'inference.local';

export interface SuperviseOptions {
  /** The model provider behind `inference.local`; absent: that name is an ordinary one, and leads nowhere. */
  readonly provider?: Provider;
  /** Descriptors 0-2 of the command; default: our own. */
  readonly stdio?: readonly [number | 'pipe', number | 'pipe', number | 'pipe'];
}

/** A sandbox that runs, with all three planes attached. */
export interface Supervised {
  readonly sandbox: RunningSandbox;
  /** The log's directory. */
  readonly auditDirectory: string;
  /** Sequence number of this run's first record. */
  readonly firstSequence: number;
  /** Resolves when everything inside is gone, the planes are closed and the log has its final signed head. */
  readonly finished: Promise<Exit>;
}

/** What `--dry-run` shows: the launch plan, computed as for a real start, without side effects. */
export async function planSandbox(request: SandboxRequest): Promise<LaunchPlan> {
  return planRequest({ ...request, policy: protectOwnProgram(request) }, await probeKernel(), '');
}

function planRequest(request: SandboxRequest, facts: KernelFacts, caPem: string): LaunchPlan {
  return planLaunch(
    {
      name: request.name,
      policy: request.policy,
      workdir: request.workdir,
      ...(request.home === undefined ? {} : { home: request.home }),
      mounts: request.mounts,
      hidden: request.hidden,
      files: [...request.files, { path: BUNDLE_INSIDE, content: `${systemBundle()}\n${caPem}`, mode: 0o644 }],
      hostname: request.name,
      command: request.command,
      cwd: request.cwd,
      env: { ...certificateEnvironment(BUNDLE_INSIDE), ...request.env },
    },
    facts,
  );
}

/**
 * Starts a sandbox: policy, log, authority, launch, planes, go. From then on the signals that reach this process go to
 * the command. Any failure leaves nothing running.
 */
export async function supervise(given: SandboxRequest, options: SuperviseOptions = {}): Promise<Supervised> {
  // A home directory may lie behind a link of the system's (/home -> /var/home); what is mounted is the real one.
  const home = given.home === undefined ? {} : { home: realpathSync(ensureDirectory(given.home)) };
  const request = { ...given, ...home, policy: protectOwnProgram(given) };
  const policy = compile(request.policy, { workdir: request.workdir.target });
  const inference = options.provider ? await inferencePlane(options.provider) : undefined;
  const authority = await CertificateAuthority.create(`OpenShell sandbox ${request.name}`);
  const facts = await probeKernel();
  // Once before anything is made, so that bad input leaves nothing; once after, so that what is made is hidden.
  planRequest(request, facts, authority.certificatePem);
  request.hidden.forEach(ensureDirectory);
  const plan = planRequest(request, facts, authority.certificatePem);
  const log = openLog(request);
  let finished: Promise<Exit> | undefined;
  try {
    const firstSequence = recordStart(log, request, plan, facts, options.provider);
    const sandbox = await launch(plan, options.stdio ? { stdio: options.stdio } : {});
    try {
      const close = attachPlanes(sandbox, { request, policy, authority, log, inference });
      const stopForwarding = forwardSignals(sandbox);
      finished = finish(sandbox, log, close).finally(stopForwarding);
      sandbox.release();
      return { sandbox, auditDirectory: request.auditDirectory, firstSequence, finished };
    } catch (error) {
      sandbox.kill();
      await sandbox.exited;
      throw error;
    }
  } catch (error) {
    // The first error is the one to report, whatever else fails because of it.
    await (finished ?? recordFailure(log, request, error as Error)).catch(() => {});
    throw error;
  }
}

/** Not started is an event too. */
async function recordFailure(log: AuditLog, request: SandboxRequest, error: Error): Promise<void> {
  try {
    log.append({ type: 'lifecycle', activity: 'fail', message: error.message, command: request.command });
  } finally {
    log.close();
  }
}

function openLog(request: SandboxRequest): AuditLog {
  return AuditLog.open({
    directory: ensureDirectory(request.auditDirectory),
    sandbox: request.name,
    signingKey: loadSigningKey(request.signingKey),
  });
}

function recordStart(
  log: AuditLog,
  request: SandboxRequest,
  plan: LaunchPlan,
  facts: KernelFacts,
  provider?: Provider,
): number {
  const command = request.command;
  const { sequence } = log.append({
    type: 'lifecycle',
    activity: 'start',
    message: `sandbox ${request.name}`,
    command,
  });
  log.append({
    type: 'config',
    subject: 'policy',
    message: `policy ${request.policy.source.file} in force`,
    facts: { file: request.policy.source.file, sha256: request.policy.source.digest },
  });
  log.append({
    type: 'config',
    subject: 'protection',
    message: `namespaces, Landlock ABI ${facts.landlockAbi}, seccomp, no capabilities`,
    facts: { landlock_abi: facts.landlockAbi, landlock: request.policy.landlock.compatibility },
  });
  for (const warning of plan.warnings) {
    log.append({ type: 'finding', title: 'weaker than asked for', severity: 'medium', message: warning });
  }
  for (const [name, { address, port }] of request.hosts) {
    const target = isIP(address) === 6 ? `[${address}]` : address;
    log.append({
      type: 'config',
      subject: 'host',
      message: `operator maps ${name} to ${port === undefined ? address : `${target}:${port}`}`,
      facts: { name, address, ...(port === undefined ? {} : { port }) },
    });
  }
  for (const fact of request.facts) log.append(fact);
  if (provider) {
    log.append({
      type: 'config',
      subject: 'provider',
      message: `models come from ${provider.name}${provider.scripted ? ' (scripted)' : ''}, model ${provider.model}`,
      facts: {
        provider: provider.name,
        model: provider.model,
        base_url: provider.baseUrl,
        scripted: provider.scripted ?? false,
      },
    });
  }
  return sequence;
}

/** Most sandboxes have no model, and its plane is the slowest part to load: it is loaded where there is one. */
async function inferencePlane(provider: Provider): Promise<PlaneMaker> {
  const { InferencePlane } = await import('@nemoclaw/inference');
  return (shared) => new InferencePlane({ ...shared, provider });
}
type PlaneMaker = (shared: Shared) => InferencePlane;

/** What every plane is given: one policy, one log. */
interface Shared {
  readonly sandbox: string;
  decide(action: Action): Decision;
  readonly audit: AuditSink;
}

interface Joined {
  readonly inference: PlaneMaker | undefined;
  readonly request: SandboxRequest;
  readonly policy: CompiledPolicy;
  readonly authority: CertificateAuthority;
  readonly log: AuditLog;
}

/** Joins the planes to one policy and one log. Returns what closes them. */
function attachPlanes(
  sandbox: RunningSandbox,
  { request, policy, authority, log, inference: make }: Joined,
): () => Promise<void> {
  const shared: Shared = { sandbox: request.name, decide: (action) => decide(policy, action), audit: log };
  const inference = make?.(shared);
  const egress = new EgressPlane({
    ...shared,
    initPid: sandbox.initPid,
    authority,
    hosts: request.hosts,
    services: new Map(inference ? [[INFERENCE_HOST, inference]] : []),
    upstreamCa: request.upstreamCa,
  });
  egress.attachTcp(sandbox.tcp);
  for (const socket of sandbox.dns) egress.attachDns(socket);
  const recorder = new KernelRecorder(request.name, policy, log);
  sandbox.onEvent((event) => {
    if (event.kind === 'datagram') return egress.datagram(event);
    if (event.kind !== 'datagrams-lost') return recorder.record(event);
    const message = 'datagrams were refused faster than the kernel could tell: not every one is on record';
    log.append({ type: 'finding', title: 'records of refused datagrams lost', severity: 'medium', message });
  });
  return async () => {
    await Promise.all([egress.close(), inference?.close()]);
  };
}

async function finish(sandbox: RunningSandbox, log: AuditLog, close: () => Promise<void>): Promise<Exit> {
  const exit = await sandbox.exited;
  const { code, failure } = exit;
  const message = failure ? `ended: ${failure.message}` : `command ended with status ${code}`;
  try {
    await close();
    log.append({ type: 'lifecycle', activity: failure ? 'fail' : 'stop', message, exitCode: code });
  } finally {
    log.close();
  }
  return exit;
}
