import { isObject, type JsonObject } from '../json.ts';

/** Token counts as providers report them; nested objects hold details. */
export type Usage = { readonly [field: string]: number | Usage };

/** A piece of a tool call. Pieces of one call share an index, or an id, or follow one another. */
export interface CallPiece {
  readonly index?: number;
  readonly id?: string;
  readonly name?: string;
  readonly arguments?: string;
  /** Came as the superseded `function_call`. */
  readonly legacy?: boolean;
  /** Gemini's token for the call, which its API wants back. */
  readonly signature?: string;
}

/** What one chunk of an answer says, reduced to what this plane knows. Everything else is dropped. */
export interface Delta {
  readonly text?: string;
  readonly refusal?: string;
  readonly reasoning?: { readonly field: ReasoningField; readonly text: string };
  readonly calls: readonly CallPiece[];
  readonly finish?: string;
  readonly usage?: Usage;
  /** The provider reports an error inside the answer. */
  readonly error?: string;
}

const REASONING_FIELDS = ['reasoning_content', 'reasoning', 'reasoning_text'] as const;
export type ReasoningField = (typeof REASONING_FIELDS)[number];

/**
 * Reads a chunk (`delta`) or a whole answer (`message`). Unknown fields are not passed on: an agent might run a call
 * that it finds in one of them. Only the first choice counts; more are never asked for.
 */
export function readDelta(value: unknown): Delta {
  if (!isObject(value)) return { calls: [] };
  const choices = Array.isArray(value.choices) ? value.choices : [];
  const choice = choices.find((item) => isObject(item) && (item.index ?? 0) === 0);
  const message = isObject(choice) ? (choice.delta ?? choice.message) : undefined;
  const content = isObject(message) ? message : {};
  return {
    calls: [...pieces(content.tool_calls), ...legacy(content.function_call)],
    ...optional('text', textOf(content.content)),
    ...optional('refusal', text(content.refusal)),
    ...optional('reasoning', reasoning(content)),
    ...optional('finish', isObject(choice) ? text(choice.finish_reason) : undefined),
    ...optional('usage', readUsage(value.usage)),
    ...optional('error', value.error == null ? undefined : JSON.stringify(value)),
  };
}

/** Adds up the counts of several rounds. */
export function addUsage(a: Usage | undefined, b: Usage | undefined): Usage | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  const sum: Record<string, number | Usage> = { ...a };
  for (const [field, value] of Object.entries(b)) {
    const before = sum[field];
    if (typeof value === 'number') sum[field] = (typeof before === 'number' ? before : 0) + value;
    else sum[field] = addUsage(typeof before === 'object' ? before : {}, value) ?? value;
  }
  return sum;
}

function optional<Key extends string, Value>(key: Key, value: Value | undefined): { [K in Key]?: Value } {
  return (value === undefined ? {} : { [key]: value }) as { [K in Key]?: Value };
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function number(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

/** Content is a string, or for some providers a list of parts of which the text ones are kept. */
function textOf(content: unknown): string | undefined {
  if (!Array.isArray(content)) return text(content);
  const parts = content.map((part) => (isObject(part) && part.type === 'text' ? (text(part.text) ?? '') : ''));
  return text(parts.join(''));
}

function reasoning(message: JsonObject): Delta['reasoning'] {
  for (const field of REASONING_FIELDS) {
    const value = text(message[field]);
    if (value !== undefined) return { field, text: value };
  }
  return undefined;
}

function pieces(value: unknown): CallPiece[] {
  if (!Array.isArray(value)) return [];
  return value.filter(isObject).map((call) => {
    const spec = isObject(call.function) ? call.function : {};
    return {
      ...optional('index', number(call.index)),
      ...optional('id', text(call.id)),
      ...optional('name', text(spec.name)),
      ...optional('arguments', argumentsOf(spec.arguments)),
      ...optional('signature', signatureOf(call.extra_content)),
    };
  });
}

function legacy(value: unknown): CallPiece[] {
  if (!isObject(value)) return [];
  return [
    {
      legacy: true,
      ...optional('name', text(value.name)),
      ...optional('arguments', argumentsOf(value.arguments)),
    },
  ];
}

/** Some local servers send the arguments as an object instead of its JSON. */
function argumentsOf(value: unknown): string | undefined {
  return isObject(value) ? JSON.stringify(value) : text(value);
}

function signatureOf(extra: unknown): string | undefined {
  const google = isObject(extra) ? extra.google : undefined;
  return isObject(google) ? text(google.thought_signature) : undefined;
}

function readUsage(value: unknown): Usage | undefined {
  if (!isObject(value)) return undefined;
  const usage: Record<string, number | Usage> = {};
  for (const [field, count] of Object.entries(value)) {
    const read = number(count) ?? readUsage(count);
    if (read !== undefined && field !== '__proto__') usage[field] = read;
  }
  return usage;
}
