/**
 * The vocabulary that all three planes speak. A plane turns what it sees into an {@link Action}, asks the policy for
 * a {@link Decision}, does as it is told, and records both (see `@nemoclaw/audit`).
 */

/** Who holds the line: `kernel` (files, processes, system calls), `egress` (network) or `inference` (models, tools). */
export type Plane = 'kernel' | 'egress' | 'inference';

/** A process inside the sandbox, as the kernel sees it from outside. */
export interface ProcessRef {
  /** Process id in the supervisor's pid namespace. */
  readonly pid: number;
  /**
   * Absolute path of the running executable as seen inside the sandbox (`/proc/PID/exe`), or undefined when it has
   * none that can be named (deleted, memfd).
   */
  readonly executable?: string;
  /** Executables of its ancestors inside the sandbox, parent first. */
  readonly ancestors: readonly string[];
  /** Command line, for the record only: the process chose it. */
  readonly commandLine?: readonly string[];
}

/** On whose behalf an action is attempted. */
export interface Subject {
  readonly sandbox: string;
  /** Every process holding the socket or making the call. More than one: all must be allowed. */
  readonly processes?: readonly ProcessRef[];
  /** Model session, where the inference plane knows one (W3C trace id, RFC-less otherwise). */
  readonly session?: string;
}

export type FileOperation =
  | 'create'
  | 'write'
  | 'delete'
  | 'rename'
  | 'link'
  | 'symlink'
  | 'mkdir'
  | 'rmdir'
  | 'chmod'
  | 'chown'
  | 'truncate';

interface Base<Kind extends string> {
  readonly kind: Kind;
  readonly subject: Subject;
}

export interface ProcessExec extends Base<'process.exec'> {
  /** Absolute, lexically normalised path inside the sandbox. */
  readonly path: string;
  readonly argv: readonly string[];
  readonly cwd?: string;
}
export interface FileRead extends Base<'file.read'> {
  readonly path: string;
}
export interface FileWrite extends Base<'file.write'> {
  readonly path: string;
  readonly operation: FileOperation;
  /** The second path of a rename or link. */
  readonly target?: string;
}
/** A question to our DNS. Always allowed for valid names of type A/AAAA (an answer costs nothing and leaks nothing). */
export interface DnsQuery extends Base<'dns.query'> {
  readonly name: string;
  readonly type: string;
}
/** A TCP connection. */
export interface NetConnect extends Base<'net.connect'> {
  /** The name asked for (lower case, no trailing dot), or the literal address when no name was asked for. */
  readonly host: string;
  /** True when `host` is a literal address: then only rules that name addresses match. */
  readonly literal: boolean;
  readonly port: number;
}
/** Anything that is not TCP and not a question to our DNS. Always denied for now. */
export interface NetDatagram extends Base<'net.datagram'> {
  readonly address: string;
  readonly port: number;
  /** `udp`, `icmp`, or the IP protocol number. */
  readonly protocol: string;
}
export interface HttpRequest extends Base<'http.request'> {
  readonly scheme: 'http' | 'https';
  readonly host: string;
  readonly literal: boolean;
  readonly port: number;
  /** Upper case. */
  readonly method: string;
  /** Canonical absolute path, exactly as the origin will read it: decoded dots resolved, no query, no fragment. */
  readonly path: string;
  /** Decoded query parameters in order. Values are used for matching and never recorded. */
  readonly query: ReadonlyArray<readonly [name: string, value: string]>;
}
export interface InferenceRequest extends Base<'inference.request'> {
  readonly provider: string;
  /** The model that will serve it. */
  readonly model: string;
  /** The model the caller asked for. */
  readonly requestedModel: string;
  readonly streaming: boolean;
  /** Names of the tools offered to the model. */
  readonly tools: readonly string[];
}
export interface ToolCall extends Base<'tool.call'> {
  /** The tool named, after unwrapping a meta-tool such as OpenClaw's `tool_call`. */
  readonly tool: string;
  /** The meta-tool it came wrapped in. */
  readonly via?: string;
  readonly callId: string;
  /** Parsed arguments; undefined when they are not a JSON object. */
  readonly arguments?: Readonly<Record<string, unknown>>;
}

export type Action =
  | ProcessExec
  | FileRead
  | FileWrite
  | DnsQuery
  | NetConnect
  | NetDatagram
  | HttpRequest
  | InferenceRequest
  | ToolCall;

export type ActionKind = Action['kind'];

export type Effect = 'allow' | 'deny' | 'ask';

/** Which rule decided. `id` is stable: the YAML path of the rule, or `default:<section>` where none matched. */
export interface RuleRef {
  readonly id: string;
  /** Display name (`name` of the network policy, glob of the tool rule, listed path). */
  readonly name: string;
  /** Where it stands in the policy file, 1-based. */
  readonly line?: number;
}

/** What the egress plane must do with a connection that was allowed. */
export interface ConnectionObligations {
  /** `rest`: every HTTP request is decided on its own. Undefined: relay bytes untouched. */
  readonly inspect?: 'rest';
  /** `skip`: do not terminate TLS. */
  readonly tls: 'terminate' | 'skip';
  /** CIDR blocks that may be dialled although they are not public. */
  readonly allowedIps: readonly string[];
}

export interface Decision {
  readonly effect: Effect;
  readonly rule: RuleRef;
  /** One sentence for a person (and for the agent). */
  readonly reason: string;
  /** For a denial: the narrowest policy text that would allow it, when one exists. */
  readonly allowWith?: string;
  /**
   * False when the deciding endpoint says `enforcement: audit`: `effect` is what would have been, but the action goes
   * ahead and is recorded as such. Always true otherwise.
   */
  readonly enforced: boolean;
  /** Present on an allowed `net.connect`. */
  readonly obligations?: ConnectionObligations;
}

/** True when the action may proceed. `ask` is not permission. */
export function permits(decision: Decision): boolean {
  return decision.effect === 'allow' || !decision.enforced;
}
