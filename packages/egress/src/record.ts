import type { AuditSink, FindingEvent, Outcome } from '@nemoclaw/audit';
import type { Action, Decision } from '@nemoclaw/policy';

/**
 * Writes the plane's records. Everything here throws when the log does: the caller then destroys what it was about to
 * let through.
 */
export class Recorder {
  readonly sandbox: string;
  readonly decide: (action: Action) => Decision;
  readonly #audit: AuditSink;

  constructor(sandbox: string, decide: (action: Action) => Decision, audit: AuditSink) {
    this.sandbox = sandbox;
    this.decide = decide;
    this.#audit = audit;
  }

  nextCorrelation(): string {
    return this.#audit.nextCorrelation();
  }

  /** Records what is about to be let through or refused. Call before doing either. */
  decision(correlation: string, action: Action, decision: Decision, parent?: string): void {
    this.#action('decision', correlation, action, decision, parent);
  }

  /** Records how it ended. */
  outcome(correlation: string, action: Action, decision: Decision, outcome: Outcome, parent?: string): void {
    this.#action('outcome', correlation, action, decision, parent, outcome);
  }

  finding(title: string, severity: FindingEvent['severity'], message: string, correlation?: string): void {
    const joined = correlation === undefined ? {} : { correlation };
    this.#audit.append({ type: 'finding', title, severity, message, ...joined });
  }

  #action(
    phase: 'decision' | 'outcome',
    correlation: string,
    action: Action,
    decision: Decision,
    parent: string | undefined,
    outcome?: Outcome,
  ): void {
    this.#audit.append({
      type: 'action',
      plane: 'egress',
      phase,
      correlation,
      action: action.kind === 'http.request' ? { ...action, query: [] } : action,
      decision,
      ...(parent === undefined ? {} : { parent }),
      ...(outcome === undefined ? {} : { outcome }),
    });
  }
}

/** A denial that the plane itself makes, whatever the policy says. Its rule's id is `egress:` and what was checked. */
export function ownDenial(check: string, reason: string, allowWith?: string): Decision {
  return {
    effect: 'deny',
    rule: { id: `egress:${check}`, name: `egress ${check}` },
    reason,
    enforced: true,
    ...(allowWith === undefined ? {} : { allowWith }),
  };
}
