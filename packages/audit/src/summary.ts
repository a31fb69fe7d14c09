import type { Effect, Plane } from '@nemoclaw/policy';
import { field, outcomeOf } from './format.ts';
import type { LogEntry, OcsfRecord } from './ocsf/record.ts';

/** One action, from its decision to its end; or one lifecycle, config or finding record. */
export interface SummaryRow {
  /** Of the first of its records. */
  readonly sequence: number;
  /** Milliseconds since 1970. */
  readonly time: number;
  /** `runtime`: the sandbox itself, not one of the planes. */
  readonly plane: Plane | 'runtime';
  /** `http.request`, `tool.call`, …; `lifecycle.start`, `config.policy`, `finding`. */
  readonly action: string;
  /** What was acted upon, in one line. Not neutralised: see `neutralise` before printing. */
  readonly object: string;
  /** Executable of the process that acted, where known. */
  readonly process?: string;
  /** Absent for what no policy decides. */
  readonly decision?: Effect;
  /** False: decided, but only watched. */
  readonly enforced?: boolean;
  /** Stable id of the deciding rule. */
  readonly rule?: string;
  readonly reason?: string;
  /** `done`, `failed`, `ended`, with an HTTP status or exit code where there is one; `blocked`; '' while under way. */
  readonly outcome: string;
  readonly correlation?: string;
  /** Correlation of the row that this belongs to. */
  readonly parent?: string;
}

/**
 * Joins decision and outcome records by their correlation into one row an action, in order of first appearance. Holds
 * all rows in memory.
 */
export function summarise(entries: Iterable<LogEntry>): SummaryRow[] {
  const rows: SummaryRow[] = [];
  const places = new Map<string, number>();
  for (const entry of entries) {
    const { record } = entry;
    const { kind, phase } = record.unmapped.openshell;
    const correlation = record.metadata.correlation_uid;
    const key = phase === undefined || correlation === undefined ? undefined : `${kind} ${correlation}`;
    const place = key === undefined ? undefined : places.get(key);
    const earlier = place === undefined ? undefined : rows[place];
    if (place !== undefined && earlier !== undefined && phase === 'outcome') {
      rows[place] = { ...earlier, outcome: outcomeText(record) };
      continue;
    }
    if (key !== undefined) places.set(key, rows.length);
    rows.push(rowOf(entry));
  }
  return rows;
}

function rowOf({ sequence, record }: LogEntry): SummaryRow {
  const details = record.unmapped.openshell;
  const path = field(field(field(field(record, 'actor'), 'process'), 'file'), 'path');
  const correlation = record.metadata.correlation_uid;
  return {
    sequence,
    time: record.time,
    plane: details.plane ?? 'runtime',
    action: details.kind,
    object: details.object,
    ...(typeof path === 'string' ? { process: path } : {}),
    ...(details.effect === undefined ? {} : { decision: details.effect }),
    ...(details.enforced === undefined ? {} : { enforced: details.enforced }),
    ...(details.rule === undefined ? {} : { rule: details.rule.id }),
    ...(details.reason === undefined ? {} : { reason: details.reason }),
    outcome: outcomeText(record),
    ...(correlation === undefined ? {} : { correlation }),
    ...(details.parent === undefined ? {} : { parent: details.parent }),
  };
}

function outcomeText(record: OcsfRecord): string {
  const { phase, effect, exit_code: exitCode } = record.unmapped.openshell;
  if (record.action_id === 2) return 'blocked';
  if (phase === 'decision' && record.status_id === 0) return '';
  if (effect === undefined && exitCode === undefined) return '';
  const code = exitCode ?? record.status_code;
  return code === undefined ? outcomeOf(record) : `${outcomeOf(record)} (${code})`;
}
