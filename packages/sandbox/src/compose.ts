import { posix } from 'node:path';
import { PLAN_LIMITS } from './encode.ts';
import { LaunchError } from './error.ts';
import { buildEtc } from './etc.ts';
import { DEVICE_NAMES, FilesystemPlan } from './filesystem.ts';
import { type HostFiles, host } from './host.ts';
import { agentFor } from './ids.ts';
import { landlockSteps, REQUIRED_ABI } from './landlock.ts';
import { watches } from './monitor.ts';
import { networkSteps } from './network/steps.ts';
import type { LaunchPlan, Step } from './plan.ts';
import type { KernelFacts } from './probe.ts';
import { allowListProgram, notifyProgram } from './seccomp/filter.ts';
import { defaultEnvironment, type SandboxSpec } from './spec.ts';
import { type Agent, buildView, type View, within } from './view.ts';

// clone(2)
const CLONE_NEW = {
  mount: 0x00020000,
  cgroup: 0x02000000,
  uts: 0x04000000,
  ipc: 0x08000000,
  user: 0x10000000,
  pid: 0x20000000,
  network: 0x40000000,
} as const;
export const NAMESPACE_FLAGS = Object.values(CLONE_NEW).reduce((all, flag) => all | flag, 0);

// setrlimit(2)
const RLIMIT = { core: 4, processes: 6, files: 7 } as const;
/**
 * Limits of each process; the processes are counted over the whole sandbox. A core limit of 1 is the kernel's word for
 * "not even to the handler that core_pattern names" (fs/coredump.c): with 0, a crash inside would still start a program
 * of the host, as root, on data that the agent chose.
 */
export const RLIMITS = { core: 1, processes: 512, files: 65536 } as const;

// seccomp(2)
const NEW_LISTENER = 8;
const WAIT_KILLABLE = 32;

export function enterStep(agent: Agent): Step {
  return {
    op: 'enter',
    flags: NAMESPACE_FLAGS,
    dropGroups: agent.privileged,
    uidMap: `${agent.uid} ${agent.uid} 1`,
    gidMap: `${agent.gid} ${agent.gid} 1`,
    uid: agent.uid,
    gid: agent.gid,
  };
}

function checkKernel(spec: SandboxSpec, facts: KernelFacts): string[] {
  const missing = facts.missing.filter(({ required }) => required);
  const first = missing[0];
  if (first !== undefined) {
    const names = missing.map(({ feature }) => feature).join(', ');
    throw new LaunchError('probe', `this kernel lacks what a sandbox needs: ${names}`, first.fix);
  }
  if (facts.landlockAbi >= REQUIRED_ABI) return [];
  const found = facts.landlockAbi === 0 ? 'no Landlock' : `Landlock ABI ${facts.landlockAbi}`;
  if (spec.policy.landlock.compatibility === 'hard_requirement') {
    const fix = `Start Linux 6.2 or newer with "landlock" in its lsm= list, or set landlock.compatibility: best_effort.`;
    throw new LaunchError('landlock', `this kernel has ${found}, the policy requires ABI ${REQUIRED_ABI}`, fix);
  }
  return [`this kernel has ${found}: the mounts alone hold the file system's lines`];
}

function checkSpec(spec: SandboxSpec, view: View): void {
  if (spec.command.length === 0 || spec.command[0] === '') throw new LaunchError('plan', 'there is no command to run');
  if (!/^[A-Za-z0-9]([A-Za-z0-9-]{0,62}[A-Za-z0-9])?$/.test(spec.hostname)) {
    throw new LaunchError(
      'plan',
      `not a host name: ${JSON.stringify(spec.hostname)}`,
      'Use letters, digits and hyphens.',
    );
  }
  for (const name of Object.keys(spec.env)) {
    if (name === '' || name.includes('='))
      throw new LaunchError('plan', `not a variable name: ${JSON.stringify(name)}`);
  }
  const seen = view.entries.some(({ target }) => within(spec.cwd, target)) || ['/', '/proc', '/dev'].includes(spec.cwd);
  if (!seen) {
    const fix = 'Set filesystem_policy.include_workdir: true, list it, or start elsewhere.';
    throw new LaunchError('plan', `the working directory ${spec.cwd} does not exist inside`, fix);
  }
}

/** Where a program without a slash is looked for, as execvp(3) does. */
function candidates(program: string, path: string): string[] {
  if (program.includes('/')) return [program];
  return path.split(':').map((directory) => posix.join(directory === '' ? '.' : directory, program));
}

function sealSteps(spec: SandboxSpec, facts: KernelFacts, view: View): Step[] {
  const limits = (resource: number, value: number): Step => ({ op: 'rlimit', resource, soft: value, hard: value });
  const listenerFlags = NEW_LISTENER | (facts.waitKillable ? WAIT_KILLABLE : 0);
  return [
    limits(RLIMIT.core, RLIMITS.core),
    limits(RLIMIT.processes, RLIMITS.processes),
    limits(RLIMIT.files, RLIMITS.files),
    { op: 'chdir', path: spec.cwd },
    { op: 'no_new_privileges' },
    { op: 'capabilities' },
    ...landlockSteps(view, DEVICE_NAMES, facts.landlockAbi),
    { op: 'seccomp', flags: 0, listener: false, program: allowListProgram(facts.arch) },
    { op: 'seccomp', flags: listenerFlags, listener: true, program: notifyProgram(facts.arch) },
  ];
}

/**
 * Makes the launch plan of a sandbox: everything that will be done, in order, and nothing done yet. Reads the host's
 * file system (what listed paths are, what /etc is made of) and changes nothing.
 * @throws LaunchError when the kernel lacks something, a listed path is missing, or the spec contradicts itself
 */
export function planLaunch(spec: SandboxSpec, facts: KernelFacts, hostFiles: HostFiles = host): LaunchPlan {
  const warnings = checkKernel(spec, facts);
  const agent = agentFor(spec, facts);
  const view = buildView(spec, agent, hostFiles);
  checkSpec(spec, view);
  if (!facts.idmappedMounts && view.entries.some((entry) => entry.kind === 'bind' && entry.owner !== undefined)) {
    const fix = 'Run as the user who owns the working directory, or give it to the agent with chown.';
    throw new LaunchError('idmap', 'this kernel or file system has no idmapped mounts, which root needs', fix);
  }
  const files = new FilesystemPlan(agent, hostFiles, {
    pidMaxPerNamespace: facts.pidMaxPerNamespace,
    maxSlots: PLAN_LIMITS.slots,
  });
  files.add(view, buildEtc(spec, view, agent, hostFiles));
  const env = { ...defaultEnvironment, ...spec.env };
  return {
    name: spec.name,
    warnings: [...warnings, ...view.warnings],
    writable: view.entries.flatMap((entry) =>
      entry.kind === 'bind' && entry.write ? [{ source: entry.source, target: entry.target }] : [],
    ),
    steps: [
      { op: 'monitor', watches: watches(facts.arch) },
      ...files.outer,
      enterStep(agent),
      { op: 'hostname', name: spec.hostname },
      ...networkSteps(facts.ipv6),
      ...files.trees,
      ...files.root,
      { op: 'terminal' },
      { op: 'spawn' },
      ...sealSteps(spec, facts, view),
      { op: 'exec', candidates: candidates(spec.command[0] ?? '', env.PATH ?? ''), argv: spec.command, env },
    ],
  };
}
