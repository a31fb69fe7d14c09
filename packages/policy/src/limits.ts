/** Every bound on a policy file and on what the engine says about it. Breaking one is a {@link PolicyError}. */
export const limits = {
  /** Size of the policy text, in bytes of UTF-8. */
  policyBytes: 256 * 1024,
  /** Nesting of YAML collections, aliases expanded. */
  yamlDepth: 32,
  /** YAML nodes after alias expansion: what stops an alias bomb. */
  yamlNodes: 65_536,
  /** Problems reported for one file; the rest are counted in a last one. */
  problems: 100,
  /** A path in `filesystem_policy`, in characters. An action on a longer one (PATH_MAX) finds no rule. */
  pathLength: 4096,
  /** Paths in `read_only` and `read_write` together. */
  paths: 256,
  /** A glob, in characters. Matching costs at most this many steps a character of the text matched. */
  globLength: 1024,
  /** `name` of a network policy, in characters. */
  nameLength: 128,
  /** `reason` of a tool rule, in characters. */
  reasonLength: 512,
  /** Text quoted from an action in a reason, in characters; longer text is cut. */
  quotedLength: 200,
  /** Alternatives named in a reason ("allowed are …"). */
  quotedItems: 5,
  /** `allowWith`, in characters; a longer one is left out. */
  allowWithLength: 4096,
} as const;
