import type { Decision } from '@nemoclaw/policy';

/** A decision of the gate itself, before the policy is asked. */
export function gateDenial(rule: string, reason: string): Decision {
  return { effect: 'deny', rule: { id: `gate:${rule}`, name: rule }, reason, enforced: true };
}

/** What the model reads as the result of a refused call. */
export function refusalForModel(decision: Decision): string {
  const lines =
    decision.effect === 'ask'
      ? ['OpenShell did not run this tool call: it needs approval by an operator, and nobody could be asked.']
      : ['OpenShell refused this tool call. It was not run.'];
  lines.push(`Reason: ${decision.reason}`, `Rule: ${ruleText(decision)}`);
  if (decision.allowWith !== undefined) lines.push(`An operator could allow it with: ${decision.allowWith}`);
  lines.push(
    'Do not try to reach the same effect another way. Go on without it, or tell the user what you need and why.',
  );
  return lines.join('\n');
}

/** What the agent's user reads beside released calls. Does not repeat the refused call. */
export function refusalNote(decisions: readonly Decision[]): string {
  const rules = [...new Set(decisions.map((decision) => decision.rule.id))].join(', ');
  const count = decisions.length === 1 ? '1 tool call' : `${decisions.length} tool calls`;
  return `[OpenShell withheld ${count} of this answer by ${rules}. The model is told why.]`;
}

/** What ends an answer when the model keeps making calls that are refused. */
export function exhaustedText(rounds: number, last: Decision): string {
  const verb = last.effect === 'ask' ? 'needs approval' : 'is refused';
  const allow = last.allowWith === undefined ? '' : ` An operator could allow it with: ${last.allowWith}`;
  return `[OpenShell ended this answer: in ${rounds} attempts the model made only tool calls that the policy does not allow. The last one ${verb} by ${ruleText(last)}: ${last.reason}${allow}]`;
}

/** What ends an answer that could be mistaken for a tool call. */
export const TEXT_CALL_NOTE =
  '[OpenShell: text is not a tool call. What looks like one above was not checked by the policy and must not be run.]';

function ruleText(decision: Decision): string {
  const { id, name, line } = decision.rule;
  return `${id}${name === id ? '' : ` (${name})`}${line === undefined ? '' : `, line ${line} of the policy`}`;
}
