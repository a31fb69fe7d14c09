import type { Action, Decision, Plane } from '@nemoclaw/policy';

/** What became of an action. */
export interface Outcome {
  readonly status: 'success' | 'failure' | 'unknown';
  /** One line; never contains secrets, query strings or file contents. */
  readonly detail?: string;
  readonly bytesIn?: number;
  readonly bytesOut?: number;
  readonly httpStatus?: number;
  readonly exitCode?: number;
  readonly durationMs?: number;
}

/**
 * An action and what the policy said of it. Recorded before the action is released (`phase: 'decision'`) and, where
 * the end can be seen, once more when it is over (`phase: 'outcome'`), joined by `correlation`.
 */
export interface ActionEvent {
  readonly type: 'action';
  readonly plane: Plane;
  readonly phase: 'decision' | 'outcome';
  /** Joins the records of one action; unique within a log. */
  readonly correlation: string;
  /** The correlation of what this belongs to: the connection of a request, the inference request of a tool call. */
  readonly parent?: string;
  readonly action: Action;
  readonly decision: Decision;
  readonly outcome?: Outcome;
}

/** The sandbox itself: started, stopped, refused to start. */
export interface LifecycleEvent {
  readonly type: 'lifecycle';
  readonly activity: 'start' | 'stop' | 'fail';
  readonly message: string;
  readonly command?: readonly string[];
  readonly exitCode?: number;
}

/** The rules in force changed: policy loaded, provider configured, host added. */
export interface ConfigEvent {
  readonly type: 'config';
  readonly subject: 'policy' | 'provider' | 'host' | 'protection' | 'agent';
  readonly message: string;
  /** Non-secret facts: digests, names, versions. */
  readonly facts: Readonly<Record<string, string | number | boolean>>;
}

/** Something an operator should look at. */
export interface FindingEvent {
  readonly type: 'finding';
  readonly title: string;
  readonly severity: 'low' | 'medium' | 'high' | 'critical';
  readonly message: string;
  readonly correlation?: string;
}

export type Event = ActionEvent | LifecycleEvent | ConfigEvent | FindingEvent;

/** Where the planes put events: the part of the log they need. */
export interface AuditSink {
  /** Throws when the record cannot be written: then the action must not happen. */
  append(event: Event): unknown;
  /** A correlation that no record has yet. */
  nextCorrelation(): string;
}
