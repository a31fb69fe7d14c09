/** The parsed policy: plain data with every default filled in. */

export type Access = 'read-only' | 'read-write' | 'full';
export type Enforcement = 'enforce' | 'audit';

/** A glob, or several of which one must match. */
export type ValueMatcher = string | { readonly any: readonly string[] };

export interface RestMatcher {
  /** Upper-case method or `*`. */
  readonly method: string;
  /** Path glob; `**` is everything. */
  readonly path: string;
  readonly query: Readonly<Record<string, ValueMatcher>>;
}

export interface Endpoint {
  /** Lower case; exact, wildcard (`*.example.com`, `**.example.com`) or canonical address. Empty only with `allowedIps`. */
  readonly host: string;
  readonly ports: readonly number[];
  readonly protocol?: 'rest';
  readonly tls: 'terminate' | 'skip';
  readonly enforcement: Enforcement;
  /** Set exactly when `rules` is not. Only meaningful with a protocol. */
  readonly access?: Access;
  readonly rules?: readonly { readonly allow: RestMatcher }[];
  /** Outweigh whatever allows. Only meaningful with a protocol. */
  readonly denyRules: readonly RestMatcher[];
  /** Canonical CIDR blocks (`10.1.2.3/32`). They may be dialled although they are not public. */
  readonly allowedIps: readonly string[];
}

export interface NetworkPolicy {
  /** The key in `network_policies`. */
  readonly key: string;
  readonly name: string;
  readonly endpoints: readonly Endpoint[];
  /** Globs over the kernel-resolved executable path. Empty matches nothing. */
  readonly binaries: readonly { readonly path: string }[];
}

export interface ToolRule {
  /** Glob over the tool name. */
  readonly tool: string;
  readonly effect: 'allow' | 'deny' | 'ask';
  readonly reason?: string;
}

export interface Policy {
  readonly version: 1;
  readonly filesystem: {
    readonly includeWorkdir: boolean;
    readonly readOnly: readonly string[];
    readonly readWrite: readonly string[];
  };
  readonly landlock: { readonly compatibility: 'hard_requirement' | 'best_effort' };
  /** `sandbox` or a numeric id as text; undefined: the supervisor chooses. */
  readonly process: { readonly runAsUser?: string; readonly runAsGroup?: string };
  readonly networkPolicies: readonly NetworkPolicy[];
  /** A file without the section has `default: 'allow'`; with the section and no default, `deny`. */
  readonly tools: { readonly default: 'allow' | 'deny' | 'ask'; readonly rules: readonly ToolRule[] };
  readonly source: PolicySource;
}

export interface PolicySource {
  /** File name for messages. */
  readonly file: string;
  /** SHA-256 of the bytes, hex. */
  readonly digest: string;
  /** 1-based line of each YAML path (`network_policies.github.endpoints[0]`). */
  readonly lines: ReadonlyMap<string, number>;
}
