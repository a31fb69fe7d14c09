import type { Policy } from '@nemoclaw/policy';

/** A sandbox as its supervisor describes it. Paths are absolute. */
export interface SandboxSpec {
  readonly name: string;
  readonly policy: Policy;
  /** A host directory and the path that it has inside (the same path for `openshell run`). */
  readonly workdir: { readonly source: string; readonly target: string };
  /** Host directory bound at `/sandbox`; absent: a fresh tmpfs. */
  readonly home?: string;
  /**
   * Where a path listed by the policy comes from, when not from the same path of the host. A target that the policy
   * does not list is an error.
   */
  readonly mounts: readonly { readonly source: string; readonly target: string }[];
  /**
   * Host directories that stay out of sight even where a listed directory holds them (the supervisor's own state):
   * empty and read-only inside.
   */
  readonly hidden?: readonly string[];
  /** Synthesised files, only below /etc. */
  readonly files: readonly { readonly path: string; readonly content: string | Uint8Array; readonly mode: number }[];
  readonly hostname: string;
  /** A program (looked up in PATH when it has no slash) and its arguments. */
  readonly command: readonly string[];
  readonly cwd: string;
  /** The whole environment inside, over {@link defaultEnvironment}. Nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
}

/** Home directory of the agent inside. */
export const HOME = '/sandbox';
/** The user name that /etc/passwd inside gives the agent. */
export const USER = 'sandbox';
/** The agent's uid and gid when the supervisor runs as root and the policy names none. */
export const AGENT_ID = 60999;

export const defaultEnvironment: Readonly<Record<string, string>> = {
  HOME,
  USER,
  LOGNAME: USER,
  SHELL: '/bin/sh',
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LANG: 'C.UTF-8',
};
