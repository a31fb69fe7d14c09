import { AuditError } from '../error.ts';
import { ANCESTORS, FIELD_CHARACTERS, LIST_ELEMENTS } from '../limits.ts';
import { cut, hasSecretShape, maskShapes } from '../mask.ts';

/** Shortens a string, saying so and how long it was originally. */
function shorten(text: string, limit: number, original = text.length): string {
  if (text.length <= limit) return text;
  const marker = `…[shortened from ${original} characters]`;
  const end = Math.max(0, limit - marker.length);
  // Not through the middle of a surrogate pair.
  const last = text.charCodeAt(end - 1);
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? end - 1 : end) + marker;
}

/** The first elements of a list, and a marker for the rest. */
export function shortList(items: readonly string[], limit = LIST_ELEMENTS): readonly string[] {
  return items.length <= limit ? items : [...items.slice(0, limit), `…[${items.length - limit} more]`];
}

/** {@link shortList} for ancestors of a process. */
export function shortAncestry(items: readonly string[]): readonly string[] {
  return shortList(items, ANCESTORS);
}

/**
 * A copy of plain data with every string masked for key shapes and shortened. Values that JSON has no form for are
 * left out.
 */
function cleanStrings<Value>(value: Value, limit: number): Value;
function cleanStrings(value: unknown, limit: number): unknown {
  if (typeof value === 'string') return cleanString(value, limit);
  if (Array.isArray(value)) return value.map((item) => cleanStrings(item, limit));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [cleanString(key, limit), cleanStrings(item, limit)]),
  );
}

function cleanString(text: string, limit: number): string {
  const part = cut(text);
  return shorten(hasSecretShape(part) ? maskShapes(part) : part, limit, text.length);
}

/** Characters of all strings in plain data: what a record costs, before it is put into words. */
export function charactersIn(value: unknown): number {
  if (typeof value === 'string') return value.length;
  if (typeof value !== 'object' || value === null) return 0;
  let sum = 0;
  for (const item of Array.isArray(value) ? value : Object.values(value)) sum += charactersIn(item);
  return sum;
}

/** Field limits tried, in order, until a record fits its line. */
const LIMITS = [FIELD_CHARACTERS, 2048, 512, 128, 64];

/**
 * The record's text-safe form: fields masked and shortened as far as needed for `fits`.
 *
 * @throws AuditError `write` when nothing helps; the action must then not happen.
 */
export function fit<Value>(value: Value, fits: (candidate: Value) => boolean): Value {
  for (const limit of LIMITS) {
    const candidate = cleanStrings(value, limit);
    if (fits(candidate)) return candidate;
  }
  throw new AuditError('write', 'the event is too large to record even when shortened; it must not happen');
}
