import { randomBytes } from 'node:crypto';
import { type Decision, permits, type ToolCall } from '@nemoclaw/policy';
import type { ModelCall } from '../answer/assemble.ts';
import { isObject, type JsonObject, parseJson } from '../json.ts';
import { MAX_ARGUMENT_CHARS, MAX_JSON_DEPTH, MAX_NAME_CHARS } from '../limits.ts';
import { maskSecret } from '../secret.ts';
import { gateDenial } from './refusal.ts';
import { unwrap } from './unwrap.ts';

/** A call in the form that may leave: what was decided is, byte for byte, what is released. */
export interface CleanCall {
  readonly id: string;
  readonly name: string;
  /** JSON written by us from the arguments that were decided on. */
  readonly arguments: string;
  readonly signature?: string;
}

export interface Verdict {
  readonly call: CleanCall;
  readonly action: ToolCall;
  readonly decision: Decision;
  readonly released: boolean;
}

export interface Court {
  readonly subject: ToolCall['subject'];
  readonly offered: ReadonlyMap<string, JsonObject>;
  readonly secret: string | undefined;
  decide(action: ToolCall): Decision;
}

/** Decides one call. `complete` is false when the answer ended before its calls did. */
export function judge(call: ModelCall, complete: boolean, court: Court): Verdict {
  const id = mintCallId();
  const args = readArguments(call);
  const found = inspectCall(call, args, complete, court.offered);
  const action: ToolCall = {
    kind: 'tool.call',
    subject: court.subject,
    tool: maskSecret(found.tool, court.secret),
    callId: id,
    ...(found.via === undefined ? {} : { via: found.via }),
    ...('arguments' in found ? { arguments: masked(found.arguments, court.secret) } : {}),
  };
  const decision = 'problem' in found ? gateDenial(found.rule, found.problem) : court.decide(action);
  return {
    action,
    decision,
    released: !('problem' in found) && permits(decision),
    call: {
      id,
      // A refused name goes back to the provider, which accepts only its own format.
      name: court.offered.has(call.name) || /^[\w-]{1,64}$/.test(call.name) ? call.name : 'invalid_tool_name',
      arguments: maskSecret(JSON.stringify(args ?? {}), court.secret),
      ...(call.signature === undefined ? {} : { signature: call.signature }),
    },
  };
}

type Inspected =
  | { readonly tool: string; readonly via?: string; readonly arguments: JsonObject }
  | { readonly tool: string; readonly via?: string; readonly rule: string; readonly problem: string };

function inspectCall(
  call: ModelCall,
  args: JsonObject | undefined,
  complete: boolean,
  offered: ReadonlyMap<string, JsonObject>,
): Inspected {
  const tool = call.name === '' ? '(none)' : call.name.slice(0, MAX_NAME_CHARS);
  const refuse = (rule: string, problem: string): Inspected => ({ tool, rule, problem });
  if (call.defect === 'legacy')
    return refuse('legacy-call', 'it came as function_call, which is not supported: use tools.');
  if (call.defect === 'two-names') return refuse('malformed', 'it names more than one tool.');
  if (call.defect === 'too-large') return refuse('too-large', `its arguments exceed ${MAX_ARGUMENT_CHARS} characters.`);
  if (call.name === '') return refuse('malformed', 'it names no tool.');
  // Exactly: agents also accept other spellings of a name, and take missing ones from the id.
  if (!offered.has(call.name)) return refuse('not-offered', 'no tool of exactly this name was offered in the request.');
  if (!complete) return refuse('incomplete', 'the answer ended before the call was complete.');
  if (args === undefined) return refuse('malformed', 'its arguments are not a JSON object.');
  const inner = unwrap(call.name, args, offered);
  return 'problem' in inner ? { ...inner, rule: 'meta-tool', problem: `${inner.problem}.` } : inner;
}

/** Models write nothing at all for a call without arguments. */
function readArguments(call: ModelCall): JsonObject | undefined {
  if (call.defect === 'too-large') return undefined;
  if (call.arguments.trim() === '') return {};
  try {
    const value = parseJson(call.arguments, MAX_JSON_DEPTH);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function masked(args: JsonObject, secret: string | undefined): JsonObject {
  const text = JSON.stringify(args);
  return secret !== undefined && text.includes(secret) ? (JSON.parse(maskSecret(text, secret)) as JsonObject) : args;
}

/**
 * Call ids are ours. OpenClaw takes a missing tool name from the id and, for later requests, rewrites ids to letters
 * and digits, to nine of them for some providers: nine letters and digits stay what they are.
 */
function mintCallId(): string {
  return randomBytes(9).reduce((id, byte) => id + ALPHABET[byte % ALPHABET.length], '');
}
const ALPHABET = 'abcdefghijkmnpqrstuvwxyz23456789';
