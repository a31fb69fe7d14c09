import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { access, constants } from 'node:fs/promises';
import { release } from 'node:os';
import { promisify } from 'node:util';
import { INIT_BINARY } from './binary.ts';
import { enterStep } from './compose.ts';
import { LaunchError } from './error.ts';
import { tryPlan } from './launch.ts';
import { networkSteps } from './network/steps.ts';
import type { Step } from './plan.ts';
import type { Arch } from './seccomp/filter.ts';
import { AGENT_ID } from './spec.ts';

export interface MissingFeature {
  readonly feature: string;
  /** What to do about it, as a sentence with a command where there is one. */
  readonly fix: string;
  /** False: a sandbox starts without it, and holds all its lines. */
  readonly required: boolean;
}

/** What this machine has, each tried and not read off a version number. */
export interface KernelFacts {
  readonly arch: Arch;
  /** `uname -r` */
  readonly release: string;
  /** Of the supervisor. */
  readonly uid: number;
  readonly gid: number;
  /** 0: none. */
  readonly landlockAbi: number;
  readonly userNamespaces: boolean;
  /** Mounting inside a new user namespace is allowed. */
  readonly privateMounts: boolean;
  readonly freshProc: boolean;
  readonly mountApi: boolean;
  readonly overlay: boolean;
  readonly pidMaxPerNamespace: boolean;
  readonly seccompNotify: boolean;
  readonly syncWakeUp: boolean;
  readonly waitKillable: boolean;
  /** Only tried as root, who alone needs them. */
  readonly idmappedMounts: boolean;
  readonly ipv6: boolean;
  /** nf_tables with tproxy, redirect, reject and NFLOG in a network namespace of our own. */
  readonly interception: boolean;
  readonly missing: readonly MissingFeature[];
}

type NativeFacts = Omit<KernelFacts, 'arch' | 'release' | 'uid' | 'gid' | 'ipv6' | 'interception' | 'missing'>;

const run = promisify(execFile);

const BUILD_FIX = 'Run: node packages/sandbox/native/build.mjs';
const USERNS_FIX =
  'Allow user namespaces: sysctl -w user.max_user_namespaces=15000; on Ubuntu 24.04 and newer also ' +
  'sysctl -w kernel.apparmor_restrict_unprivileged_userns=0; on older Debian kernel.unprivileged_userns_clone=1; in a ' +
  'container, start it with a seccomp profile that allows clone and unshare.';

function findMissing(facts: NativeFacts & { interception: string | undefined }): MissingFeature[] {
  const missing: MissingFeature[] = [];
  const need = (present: boolean, feature: string, fix: string, required = true) => {
    if (!present) missing.push({ feature, fix, required });
  };
  need(facts.mountApi, 'mount_setattr(2)', 'Start Linux 5.12 or newer.');
  need(facts.userNamespaces && facts.privateMounts, 'user namespaces', USERNS_FIX);
  const procFix = 'Something is mounted over part of /proc (a container does that): run it with an unmasked /proc.';
  if (facts.privateMounts) need(facts.freshProc, 'a /proc of its own', procFix);
  need(facts.seccompNotify, 'seccomp user notification', 'Start Linux 5.5 or newer with CONFIG_SECCOMP_FILTER.');
  const netFix = `Load the modules nft_tproxy, nft_redir, nft_reject_inet, nft_log, nfnetlink_log (modprobe -a …): ${facts.interception ?? ''}`;
  if (facts.userNamespaces) need(facts.interception === undefined, 'transparent interception', netFix);
  need(facts.landlockAbi > 0, 'Landlock', 'Start Linux 6.2 or newer with "landlock" in its lsm= list.', false);
  need(
    facts.syncWakeUp,
    'synchronous seccomp notification',
    'Start Linux 6.6 or newer: recording is 15 times faster.',
    false,
  );
  need(facts.pidMaxPerNamespace, 'pid_max per namespace', 'Start Linux 6.14 or newer.', false);
  return missing;
}

/** Tries the packet filter and the listening sockets in a network namespace that is thrown away. */
async function tryInterception(uid: number, gid: number, ipv6: boolean): Promise<string | undefined> {
  const agent = uid === 0 ? { uid: AGENT_ID, gid: AGENT_ID, privileged: true } : { uid, gid, privileged: false };
  const network = networkSteps(ipv6).map((step): Step => {
    if (step.op !== 'socket') return step;
    const { handoff: _, ...rest } = step;
    return rest;
  });
  try {
    await tryPlan({
      name: 'probe',
      warnings: [],
      writable: [],
      steps: [enterStep(agent), ...network, { op: 'finish' }],
    });
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function architecture(): Arch {
  if (process.platform === 'linux' && (process.arch === 'x64' || process.arch === 'arm64')) return process.arch;
  throw new LaunchError(
    'probe',
    `no sandbox for ${process.platform} on ${process.arch}`,
    'Use Linux on x86-64 or arm64.',
  );
}

/**
 * Finds out what this machine has by trying it; takes a few milliseconds.
 * @throws LaunchError when the platform is not supported or the native program has not been built
 */
export async function probeKernel(): Promise<KernelFacts> {
  const arch = architecture();
  const built = await access(INIT_BINARY, constants.X_OK).then(
    () => true,
    () => false,
  );
  if (!built) throw new LaunchError('probe', `${INIT_BINARY} is not there`, BUILD_FIX);
  const uid = process.geteuid?.() ?? 0;
  const gid = process.getegid?.() ?? 0;
  const ipv6 = existsSync('/proc/net/if_inet6');
  const [{ stdout }, problem] = await Promise.all([
    run(INIT_BINARY, ['probe'], { env: {} }),
    tryInterception(uid, gid, ipv6),
  ]);
  const native: NativeFacts = JSON.parse(stdout);
  const interception = problem === undefined;
  const missing = findMissing({ ...native, interception: problem });
  return { ...native, arch, release: release(), uid, gid, ipv6, interception, missing };
}
