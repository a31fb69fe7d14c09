import type { Subject, ToolCall } from '@nemoclaw/policy';
import { permits } from '@nemoclaw/policy';
import { ApiError } from '../errors.ts';
import { isObject, type JsonObject, parseJson } from '../json.ts';
import type { Ledger } from '../ledger.ts';
import { MAX_JSON_DEPTH, MAX_NAME_CHARS } from '../limits.ts';
import type { ChatRequest, Message, ToolCallMessage } from '../request.ts';
import { type CallMemory, outcomeEvent } from './memory.ts';
import { unwrap } from './unwrap.ts';

/** OpenClaw sends this after the real last message, in the user's role. */
const INTERNAL_CONTEXT = '<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>';

/**
 * Records what became of released calls, once each, and looks for calls that the agent ran without their having been
 * released (found in the text of an answer, or made up).
 *
 * @throws ApiError with 400 when such a call is one that the policy refuses: its result does not reach the model
 */
export function settleResults(chat: ChatRequest, subject: Subject, ledger: Ledger, memory: CallMemory): void {
  const messages = chat.body.messages;
  for (const message of messages) {
    const call = message.role === 'tool' && message.tool_call_id ? memory.find(message.tool_call_id) : undefined;
    if (call === undefined || call.reported) continue;
    ledger.append(outcomeEvent(call, message, performance.now()));
    call.reported = true;
  }
  // Older history may come from before this sandbox was started.
  for (const message of messages.slice(lastUserMessage(messages) + 1)) {
    for (const call of message.role === 'assistant' ? (message.tool_calls ?? []) : []) {
      if (memory.find(call.id) === undefined) challenge(call, chat, subject, ledger, memory);
    }
  }
}

/** Index of the last message that a user really wrote, or -1. */
export function lastUserMessage(messages: readonly Message[]): number {
  return messages.findLastIndex(
    (message) => message.role === 'user' && !textOf(message).trimStart().startsWith(INTERNAL_CONTEXT),
  );
}

/** The text of a message, its parts joined. */
export function textOf({ content }: Message): string {
  if (typeof content === 'string') return content;
  return (content ?? []).map((part) => (typeof part.text === 'string' ? part.text : '')).join('');
}

function challenge(
  call: ToolCallMessage,
  chat: ChatRequest,
  subject: Subject,
  ledger: Ledger,
  memory: CallMemory,
): void {
  const name = call.function.name.slice(0, MAX_NAME_CHARS);
  const found = unwrap(name, argumentsOf(call), chat.tools);
  const action: ToolCall = {
    kind: 'tool.call',
    subject,
    tool: found.tool,
    callId: call.id.slice(0, MAX_NAME_CHARS),
    ...(found.via === undefined ? {} : { via: found.via }),
    ...('arguments' in found ? { arguments: found.arguments } : {}),
  };
  const allowed = !('problem' in found) && permits(ledger.decide(action));
  if (allowed && !memory.noteStranger(call.id)) return;
  ledger.append({
    type: 'finding',
    title: 'The agent ran a tool call that was not released to it',
    severity: allowed ? 'medium' : 'high',
    message: `The history of a request holds a call of ${JSON.stringify(found.tool)} that did not pass the tool gate${allowed ? '' : ', and the policy refuses it'}.`,
  });
  if (!allowed) {
    throw new ApiError(
      400,
      'policy_denied',
      `OpenShell did not forward this request: it holds the result of a call of ${JSON.stringify(found.tool)} that was never released and that the policy refuses. Start a new conversation.`,
    );
  }
}

function argumentsOf(call: ToolCallMessage): JsonObject {
  try {
    const value = parseJson(call.function.arguments || '{}', MAX_JSON_DEPTH);
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}
