import type { OcsfRecord } from './ocsf/record.ts';

export interface FormatOptions {
  /** ANSI colours. */
  readonly color?: boolean;
}

/** Control and format characters, line and paragraph separators, lone surrogates: all that a terminal may act upon. */
const ACTIVE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** Makes text inert for a terminal: active characters become visible `\xNN` or `\u{NNNN}` escapes. */
export function neutralise(text: string): string {
  return text.replace(ACTIVE, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
  });
}

const COLORS = { allow: 32, deny: 31, ask: 33, dim: 2, high: 31 } as const;

function paint(text: string, color: keyof typeof COLORS | undefined, enabled: boolean | undefined): string {
  return enabled === true && color !== undefined ? `\u001b[${COLORS[color]}m${text}\u001b[0m` : text;
}

/**
 * A record as one line of text: time (UTC), plane, effect, action, object, process, and in brackets the rule and the
 * reason, or for an outcome what came of it. Nothing in the record can act on the terminal.
 */
export function formatRecord(record: OcsfRecord, options: FormatOptions = {}): string {
  const details = record.unmapped.openshell;
  const { color } = options;
  const parts = [
    paint(timeText(record.time), 'dim', color),
    (details.plane ?? 'runtime').padEnd(9),
    paint(effectText(record).padEnd(7), effectColor(record), color),
    neutralise(details.kind),
    neutralise(details.object),
    processText(record),
    paint(contextText(record), 'dim', color),
  ];
  return parts.filter((part) => part !== '').join(' ');
}

function timeText(time: number): string {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? '????-??-??T??:??:??.???Z' : date.toISOString();
}

function effectText(record: OcsfRecord): string {
  const { effect, enforced, phase } = record.unmapped.openshell;
  if (effect === undefined) return neutralise(record.severity).toLowerCase().replace('informational', 'info');
  if (phase === 'outcome') return outcomeOf(record);
  return enforced === false && effect !== 'allow' ? `(${effect})` : effect;
}

function effectColor(record: OcsfRecord): keyof typeof COLORS | undefined {
  const { effect } = record.unmapped.openshell;
  if (effect === 'allow' || effect === 'deny' || effect === 'ask') return effect;
  return record.severity_id >= 4 ? 'high' : undefined;
}

/** How an action ended, in one word. */
export function outcomeOf(record: OcsfRecord): string {
  if (record.status_id === 1) return 'done';
  return record.status_id === 2 ? 'failed' : 'ended';
}

function processText(record: OcsfRecord): string {
  const actor = field(record, 'actor');
  const process = field(actor, 'process');
  const pid = field(process, 'pid');
  if (typeof pid !== 'number') return '';
  const path = field(field(process, 'file'), 'path');
  return `${neutralise(typeof path === 'string' ? path : '?')}(${pid})`;
}

function contextText(record: OcsfRecord): string {
  const { rule, reason, phase, effect, exit_code: exitCode } = record.unmapped.openshell;
  const rest: string[] = [];
  if (phase !== 'outcome' && typeof rule?.id === 'string') rest.push(`rule ${rule.id}`);
  if (phase === 'outcome' || effect === undefined) {
    if (typeof record.status_code === 'string') rest.push(`status ${record.status_code}`);
    if (typeof exitCode === 'number') rest.push(`exit ${exitCode}`);
    if (phase === 'outcome' && typeof record.status_detail === 'string') rest.push(record.status_detail);
  }
  if (phase !== 'outcome' && typeof reason === 'string') rest.push(reason);
  return rest.length === 0 ? '' : `[${neutralise(rest.join('; '))}]`;
}

/** A member of what may be an object. */
export function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}
