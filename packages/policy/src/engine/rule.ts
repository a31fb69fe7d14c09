import type { Policy } from '../policy.ts';
import { formatPath, type PathSegment } from '../source/document.ts';
import type { RuleRef } from '../vocabulary.ts';

/** The rule that stands at a place in the policy file. */
export function ruleAt(policy: Policy, path: readonly PathSegment[], name: string): RuleRef {
  const id = formatPath(path);
  const line = policy.source.lines.get(id);
  return line === undefined ? { id, name } : { id, name, line };
}

/** What holds where no rule of a section matched. */
export function defaultRule(section: string, name: string): RuleRef {
  return { id: `default:${section}`, name };
}

/** How closely a pattern names one thing: a literal before any glob, then more literal characters before fewer. */
export function specificity(glob: { readonly literal: boolean; readonly weight: number }): number {
  return glob.literal ? Number.MAX_SAFE_INTEGER : glob.weight;
}
