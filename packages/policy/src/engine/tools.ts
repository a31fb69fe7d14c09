import { compileGlob, type Glob } from '../glob.ts';
import type { Policy, ToolRule } from '../policy.ts';
import { printable } from '../text.ts';
import type { Decision, RuleRef, ToolCall } from '../vocabulary.ts';
import { defaultRule, ruleAt, specificity } from './rule.ts';
import { allowTool } from './snippet.ts';

interface CompiledToolRule {
  readonly source: ToolRule;
  readonly rule: RuleRef;
  readonly exact: Glob;
  /** Over folded names; only rules that restrict have one. */
  readonly folded?: Glob;
}

export interface CompiledTools {
  readonly fallback: ToolRule['effect'];
  /** Deny before ask before allow, then the most specific first: the first that matches decides. */
  readonly rules: readonly CompiledToolRule[];
}

const PRECEDENCE = { deny: 0, ask: 1, allow: 2 } as const;

export function compileTools(policy: Policy): CompiledTools {
  const rules = policy.tools.rules.map((source, index): CompiledToolRule => {
    const rule = ruleAt(policy, ['tools', 'rules', index], source.tool);
    const exact = compileGlob(source.tool, '');
    if (source.effect === 'allow') return { source, rule, exact };
    return { source, rule, exact, folded: compileGlob(fold(source.tool), '') };
  });
  rules.sort(
    (left, right) =>
      PRECEDENCE[left.source.effect] - PRECEDENCE[right.source.effect] ||
      specificity(right.exact) - specificity(left.exact),
  );
  return { fallback: policy.tools.default, rules };
}

/** An agent may look tools up more generously than we do: a variant of a restricted name is the restricted name. */
function fold(name: string): string {
  return name.normalize('NFKC').trim().toLowerCase();
}

export function decideTool(tools: CompiledTools, action: ToolCall): Decision {
  const folded = fold(action.tool);
  const match = tools.rules.find(
    ({ exact, folded: loose }) => exact.matches(action.tool) || loose?.matches(folded) === true,
  );
  if (match !== undefined) {
    const { effect, reason } = match.source;
    const because = reason === undefined ? '' : `: ${reason}`;
    return { effect, rule: match.rule, reason: `${verdict('the policy', effect, action)}${because}`, enforced: true };
  }
  const rule = defaultRule('tools', `default: ${tools.fallback}`);
  const reason = `${verdict('the default', tools.fallback, action)}, which no rule names`;
  const allowWith = tools.fallback === 'allow' ? undefined : allowTool(action.tool);
  return { effect: tools.fallback, rule, reason, enforced: true, ...(allowWith !== undefined && { allowWith }) };
}

function verdict(who: string, effect: ToolRule['effect'], { tool }: ToolCall): string {
  const name = `the tool "${printable(tool)}"`;
  return effect === 'ask' ? `${who} wants a person asked before ${name}` : `${who} ${VERB[effect]} ${name}`;
}

const VERB = { allow: 'allows', deny: 'denies' } as const;
