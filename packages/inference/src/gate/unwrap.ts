import { isObject, type JsonObject } from '../json.ts';
import { MAX_UNWRAP_DEPTH } from '../limits.ts';

/** OpenClaw's tool that calls another one by catalogue id or name: `{id, args}`. */
const META_TOOL = 'tool_call';
/** OpenClaw's JavaScript bridge, from which any tool can be called. */
const CODE_BRIDGE = 'tool_search_code';

export type Unwrapped =
  | { readonly tool: string; readonly via?: string; readonly arguments: JsonObject }
  | { readonly problem: string; readonly tool: string; readonly via?: string };

/**
 * Finds the tool that a call really names.
 *
 * OpenClaw reads `tool_call` leniently: the target may stand in `id`, `toolId` or `name`, at the top or inside `args`,
 * and its arguments may be flattened or dotted. Which of them wins depends on a catalogue that only the agent has, so
 * anything but exactly `{id, args}` is refused rather than guessed.
 */
export function unwrap(tool: string, args: JsonObject, offered: ReadonlyMap<string, JsonObject>): Unwrapped {
  let current: { tool: string; arguments: JsonObject } = { tool, arguments: args };
  let via: string | undefined;
  for (let depth = 0; current.tool === META_TOOL; depth += 1) {
    via = META_TOOL;
    if (depth === MAX_UNWRAP_DEPTH) return { tool: META_TOOL, via, problem: 'it wraps itself too many times' };
    const inner = innerCall(current.arguments);
    if (typeof inner === 'string') return { tool: META_TOOL, via, problem: inner };
    current = inner;
  }
  const found = { tool: current.tool, ...(via === undefined ? {} : { via }) };
  if (isOpaque(current.tool, offered)) {
    return {
      ...found,
      problem:
        'it runs code that calls other tools where no policy sees them; the operator should set tools.toolSearch to false and leave code mode off',
    };
  }
  return { ...found, arguments: current.arguments };
}

/** True for a tool whose argument is a program that calls tools. Code mode lends `exec` a `code` parameter. */
function isOpaque(tool: string, offered: ReadonlyMap<string, JsonObject>): boolean {
  return tool === CODE_BRIDGE || (tool === 'exec' && offered.get('exec')?.code !== undefined);
}

function innerCall(args: JsonObject): { tool: string; arguments: JsonObject } | string {
  const { id, args: inner, ...rest } = args;
  if (typeof id !== 'string' || Object.keys(rest).length > 0 || !(inner === undefined || isObject(inner))) {
    return 'its arguments must be exactly {"id": "<tool>", "args": {...}}';
  }
  const tool = toolOfId(id);
  if (tool === undefined) return 'its "id" must be a tool name or source:owner:name';
  return { tool, arguments: inner ?? {} };
}

/** A catalogue id is `source:owner:name`; a plain name has no colon. */
function toolOfId(id: string): string | undefined {
  const parts = id.split(':');
  const name = parts.length === 1 || parts.length === 3 ? parts.at(-1) : undefined;
  return name !== undefined && /^[^\s:]+$/.test(name) && id.trim() === id ? name : undefined;
}
