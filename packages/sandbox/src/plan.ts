import { createHash } from 'node:crypto';

/** Mount attributes (mount_setattr(2)). */
export const MOUNT = { readOnly: 0x1, noSuid: 0x2, noDev: 0x4, noExec: 0x8 } as const;

/** Which arguments of a notified system call the monitor reads; absent: none. */
export interface Watch {
  readonly nr: number;
  /** Argument indexes of a path and of the directory descriptor it is relative to. */
  readonly a?: { readonly dir?: number; readonly path: number };
  readonly b?: { readonly dir?: number; readonly path: number };
  readonly argv?: number;
  /** A descriptor whose path is wanted. */
  readonly fd?: number;
  /** A pointer to `struct open_how`. */
  readonly how?: number;
}

/**
 * One step of a launch, carried out by `openshell-init` in order. Steps run in three places: before `enter` in the
 * launcher on the host, then in pid 1 inside, after `spawn` in the process that becomes the command. Paths inside the
 * new root are relative to it (`usr/bin`); host paths are absolute.
 */
export type Step =
  /** Which system calls the notification listener reads, and how. */
  | { readonly op: 'monitor'; readonly watches: readonly Watch[] }
  /** Makes a user namespace for idmapped mounts. Maps are the text of uid_map (user_namespaces(7)). */
  | { readonly op: 'idmap'; readonly slot: number; readonly uidMap: string; readonly gidMap: string }
  /** Takes a copy of a mount tree (open_tree(2)) with attributes on all of it, to be attached later. */
  | {
      readonly op: 'tree';
      readonly slot: number;
      readonly source: string;
      readonly attributes: number;
      readonly idmap?: number;
    }
  /** clone(2) into new namespaces with these flags, one uid and one gid mapped, and become them. */
  | {
      readonly op: 'enter';
      readonly flags: number;
      readonly dropGroups: boolean;
      readonly uidMap: string;
      readonly gidMap: string;
      readonly uid: number;
      readonly gid: number;
    }
  | { readonly op: 'hostname'; readonly name: string }
  /** A batch of netlink messages; `keep` leaves the socket with the launcher (NFLOG). */
  | {
      readonly op: 'netlink';
      readonly protocol: number;
      readonly what: string;
      readonly acks: number;
      readonly keep: boolean;
      readonly bytes: Uint8Array;
    }
  /** A bound socket; with a `handoff` it goes to the supervisor under that role. */
  | {
      readonly op: 'socket';
      readonly domain: number;
      readonly type: number;
      readonly address: Uint8Array;
      readonly backlog: number;
      readonly options: readonly { readonly level: number; readonly name: number; readonly value: number }[];
      readonly handoff?: Handoff;
    }
  /** The new root: a file system of this kind, first attached at `path` on the (private) host side. */
  | {
      readonly op: 'root';
      readonly kind: string;
      readonly options: Readonly<Record<string, string>>;
      readonly attributes: number;
      readonly path: string;
    }
  | { readonly op: 'directory'; readonly path: string; readonly mode: number }
  | { readonly op: 'symlink'; readonly path: string; readonly target: string }
  /** A new file. */
  | { readonly op: 'file'; readonly path: string; readonly mode: number; readonly bytes: Uint8Array }
  /** One write to an existing file. */
  | { readonly op: 'write'; readonly path: string; readonly bytes: Uint8Array }
  | {
      readonly op: 'mount';
      readonly kind: string;
      readonly options: Readonly<Record<string, string>>;
      readonly attributes: number;
      readonly path: string;
    }
  /** Attaches the tree of a slot. */
  | { readonly op: 'attach'; readonly slot: number; readonly path: string }
  /** Adds mount attributes to what is mounted at `path`. */
  | { readonly op: 'attributes'; readonly path: string; readonly attributes: number; readonly recursive: boolean }
  | { readonly op: 'pivot' }
  /** If the operator's terminal is among descriptors 0-2: opens one of the sandbox's own in its place. */
  | { readonly op: 'terminal' }
  /** Ends a plan that only tries things out. */
  | { readonly op: 'finish' }
  /** Forks the process that becomes the command; pid 1 gives up its own privileges and waits. */
  | { readonly op: 'spawn' }
  /** The lower of this and the inherited hard limit holds. */
  | { readonly op: 'rlimit'; readonly resource: number; readonly soft: number; readonly hard: number }
  | { readonly op: 'no_new_privileges' }
  /** Drops every capability from every set, for good, and verifies it. */
  | { readonly op: 'capabilities' }
  | {
      readonly op: 'landlock';
      readonly fs: bigint;
      readonly net: bigint;
      readonly scoped: bigint;
      /** Bytes of `struct landlock_ruleset_attr` that the kernel's ABI knows. */
      readonly size: number;
    }
  | { readonly op: 'landlock_path'; readonly path: string; readonly access: bigint }
  | { readonly op: 'landlock_seal'; readonly flags: number }
  | { readonly op: 'seccomp'; readonly flags: number; readonly listener: boolean; readonly program: Uint8Array }
  | { readonly op: 'chdir'; readonly path: string }
  | {
      readonly op: 'exec';
      /** Tried in order: the first that may be executed. */
      readonly candidates: readonly string[];
      readonly argv: readonly string[];
      readonly env: Readonly<Record<string, string>>;
    };

/** What a socket made inside is for; see `RunningSandbox`. */
export type Handoff = 'tcp' | 'dns4' | 'dns6';

export type StepName = Step['op'];

/** Everything that a launch does. Data: it can be printed ({@link printablePlan}), compared and encoded. */
export interface LaunchPlan {
  readonly name: string;
  readonly steps: readonly Step[];
  /** Weaker than asked for, because the policy says best effort: to be recorded by the supervisor. */
  readonly warnings: readonly string[];
  /** Host directories that the agent can write. */
  readonly writable: readonly { readonly source: string; readonly target: string }[];
}

/** A plan as plain JSON for people: bytes as their length and SHA-256, masks in hexadecimal. */
export function printablePlan(plan: LaunchPlan): unknown {
  const digest = (bytes: Uint8Array) => ({
    bytes: bytes.length,
    sha256: createHash('sha256').update(bytes).digest('hex'),
  });
  return JSON.parse(
    JSON.stringify(plan, function (this: Record<string, unknown>, key, value: unknown) {
      // A Buffer has turned itself into something longer by the time it is `value`.
      const original = this[key];
      if (original instanceof Uint8Array) return digest(original);
      return typeof value === 'bigint' ? `0x${value.toString(16)}` : value;
    }),
  );
}
