import type { InferenceRequest, Subject, ToolCall } from '@nemoclaw/policy';
import { permits } from '@nemoclaw/policy';
import { CallAssembler, type ModelCall } from './answer/assemble.ts';
import { addUsage, type Usage } from './answer/delta.ts';
import { type ByteBudget, readAnswer } from './answer/read.ts';
import { ApiError } from './errors.ts';
import { judge, type Verdict } from './gate/judge.ts';
import type { CallMemory } from './gate/memory.ts';
import { exhaustedText, refusalForModel, refusalNote, TEXT_CALL_NOTE } from './gate/refusal.ts';
import { couldBeTextCall } from './gate/textcall.ts';
import type { Ledger } from './ledger.ts';
import { MAX_ANSWER_BYTES, MAX_ROUNDS } from './limits.ts';
import type { Provider } from './providers.ts';
import type { ChatRequest, Message, ToolCallMessage } from './request.ts';
import type { FinishReason, Sink } from './sink.ts';
import type { Upstream } from './upstream.ts';
import { type Said, Voice } from './voice.ts';

/** One request of the agent and all it needs to be answered. */
export interface Turn {
  readonly chat: ChatRequest;
  readonly subject: Subject;
  /** Correlation of the connection that the request came on. */
  readonly connection: string;
  readonly provider: Provider;
  readonly upstream: Upstream;
  readonly ledger: Ledger;
  readonly memory: CallMemory;
  readonly sink: Sink;
  /** Aborted when the agent goes away or the plane closes. */
  readonly signal: AbortSignal;
}

/** How a round of the provider ended. */
interface Round {
  readonly correlation: string;
  readonly said: Said;
  readonly calls: readonly ModelCall[];
  readonly finish: string | undefined;
  readonly usage: Usage | undefined;
}

/**
 * Answers one request: asks the provider, passes words on at once, holds calls until each is decided and recorded.
 *
 * Where every call of an answer is refused the model is told so and asked again, and its next words go into the same
 * answer: the agent's loop never sees the refused call. Those exchanges are not in the agent's history; they are put
 * back into later requests of the same turn as far as a released call follows them.
 *
 * @throws ApiError
 */
export async function runTurn(turn: Turn): Promise<void> {
  const history = turn.memory.restore(turn.chat.body.messages);
  const exchanges: Message[] = [];
  const voice = new Voice(turn.sink, turn.provider.apiKey);
  const budget: ByteBudget = { used: 0, limit: MAX_ANSWER_BYTES };
  let usage: Usage | undefined;
  for (let count = 1; ; count += 1) {
    const round = await playRound(turn, [...history, ...exchanges], count > 1, voice, budget);
    usage = addUsage(usage, round.usage);
    const verdicts = judgeCalls(turn, round);
    const refused = verdicts.filter((verdict) => !verdict.released);
    const last = refused.at(-1);
    if (last === undefined || refused.length < verdicts.length || !isComplete(round)) {
      conclude(turn, round, verdicts, exchanges, voice, usage);
      return;
    }
    if (count === MAX_ROUNDS) {
      voice.add(exhaustedText(count, last.decision));
      finish(turn, voice, 'stop', [], usage);
      return;
    }
    exchanges.push(assistantMessage(round.said, refused), ...refused.map(refusalMessage));
  }
}

async function playRound(
  turn: Turn,
  messages: readonly Message[],
  followUp: boolean,
  voice: Voice,
  budget: ByteBudget,
): Promise<Round> {
  const { chat, provider } = turn;
  const permit = authorise(turn);
  const body = Buffer.from(
    JSON.stringify({
      ...chat.body,
      model: provider.model,
      messages,
      // A forced call that was refused would be forced again.
      ...(followUp && chat.body.tool_choice != null ? { tool_choice: 'auto' } : {}),
    }),
  );
  const assembler = new CallAssembler();
  const before = budget.used;
  let finish: string | undefined;
  let usage: Usage | undefined;
  try {
    const answer = await turn.upstream.ask(body, chat.streaming, turn.signal);
    for await (const delta of readAnswer(answer, budget)) {
      voice.hear(delta);
      delta.calls.forEach((piece) => {
        assembler.add(piece);
      });
      finish = delta.finish ?? finish;
      usage = delta.usage ?? usage;
      await turn.sink.drained(turn.signal);
    }
  } catch (cause) {
    const error = turn.signal.aborted ? gone() : turn.upstream.transportError(cause);
    permit.report('failure', error.code, error.status, body.length, budget.used - before);
    throw error;
  }
  permit.report('success', undefined, 200, body.length, budget.used - before);
  return { correlation: permit.correlation, said: voice.endRound(), calls: assembler.take(), finish, usage };
}

interface Permit {
  readonly correlation: string;
  report(
    status: 'success' | 'failure',
    detail: string | undefined,
    httpStatus: number,
    bytesOut: number,
    bytesIn: number,
  ): void;
}

/** Decides and records a request to the provider. @throws ApiError when it may not be made */
function authorise(turn: Turn): Permit {
  const { chat, ledger, provider } = turn;
  const action: InferenceRequest = {
    kind: 'inference.request',
    subject: turn.subject,
    provider: provider.name,
    model: provider.model,
    requestedModel: chat.requestedModel,
    streaming: chat.streaming,
    tools: [...chat.tools.keys()],
  };
  const decision = ledger.decide(action);
  const correlation = ledger.nextCorrelation();
  const event = { type: 'action', plane: 'inference', correlation, parent: turn.connection, action, decision } as const;
  ledger.append({ ...event, phase: 'decision' });
  if (!permits(decision)) {
    const allow = decision.allowWith === undefined ? '' : ` An operator could allow it with: ${decision.allowWith}`;
    throw new ApiError(
      400,
      'policy_denied',
      `OpenShell policy refused this model request: ${decision.reason} (rule ${decision.rule.id}).${allow}`,
    );
  }
  const started = performance.now();
  return {
    correlation,
    report(status, detail, httpStatus, bytesOut, bytesIn) {
      const durationMs = Math.round(performance.now() - started);
      const outcome = {
        status,
        httpStatus,
        bytesOut,
        bytesIn,
        durationMs,
        ...(detail === undefined ? {} : { detail }),
      };
      ledger.append({ ...event, phase: 'outcome', outcome });
    },
  };
}

/** Decides every call of a round and records each decision before anything of the round is released. */
function judgeCalls(turn: Turn, round: Round): Verdict[] {
  const court = {
    subject: turn.subject,
    offered: turn.chat.tools,
    secret: turn.provider.apiKey,
    decide: (action: ToolCall) => turn.ledger.decide(action),
  };
  const verdicts = round.calls.map((call) => judge(call, isComplete(round), court));
  for (const verdict of verdicts) {
    const { action, decision } = verdict;
    const event = { correlation: turn.ledger.nextCorrelation(), parent: round.correlation, action, decision };
    turn.ledger.append({ type: 'action', plane: 'inference', phase: 'decision', ...event });
    if (verdict.released) {
      turn.memory.release(verdict.call.id, { ...event, releasedAt: performance.now(), reported: false });
    }
  }
  return verdicts;
}

/** Ends the answer with the calls that may be made, or with words only. */
function conclude(
  turn: Turn,
  round: Round,
  verdicts: readonly Verdict[],
  exchanges: readonly Message[],
  voice: Voice,
  usage: Usage | undefined,
): void {
  const released = verdicts.filter((verdict) => verdict.released);
  const refused = verdicts.filter((verdict) => !verdict.released);
  if (refused.length > 0) voice.add(refusalNote(refused.map((verdict) => verdict.decision)));
  const part = { earlier: exchanges, calls: refused.map(callMessage), results: refused.map(refusalMessage) };
  for (const { call } of released.slice(0, 1)) turn.memory.remember(call.id, part);
  finish(turn, voice, released.length > 0 ? 'tool_calls' : finishReason(round.finish), released, usage);
}

function finish(
  turn: Turn,
  voice: Voice,
  reason: FinishReason,
  released: readonly Verdict[],
  usage: Usage | undefined,
): void {
  const suspicious = couldBeTextCall(voice.visible);
  if (suspicious) {
    turn.ledger.append({
      type: 'finding',
      title: 'The model wrote a tool call as text',
      severity: 'medium',
      message: 'The answer was marked as cut off, so that an agent which runs such text does not run it.',
    });
    voice.add(TEXT_CALL_NOTE);
  }
  turn.sink.finish({
    // OpenClaw runs text calls only of answers that ended by themselves.
    reason: suspicious && released.length === 0 ? 'length' : reason,
    calls: released.map((verdict) => verdict.call),
    usage,
  });
}

/** Calls of an answer that was cut off, by length or by a filter, may lack their end. */
function isComplete(round: Round): boolean {
  const ended = ['stop', 'end', 'eos', 'tool_calls', 'tool_call', 'function_call'];
  return round.finish === undefined || ended.includes(round.finish);
}

function finishReason(finish: string | undefined): FinishReason {
  return finish === 'length' || finish === 'content_filter' ? finish : 'stop';
}

function gone(): ApiError {
  return new ApiError(499, 'client_gone', 'The agent closed the connection before the answer was complete.');
}

function assistantMessage(said: Said, refused: readonly Verdict[]): Message {
  const text = said.text || said.refusal;
  return {
    role: 'assistant',
    content: text === '' ? null : text,
    // Some reasoning models want their reasoning back while a tool exchange goes on.
    ...(said.reasoning === undefined ? {} : { [said.reasoning.field]: said.reasoning.text }),
    tool_calls: refused.map(callMessage),
  };
}

function callMessage({ call }: Verdict): ToolCallMessage {
  return {
    id: call.id,
    type: 'function',
    function: { name: call.name, arguments: call.arguments },
    ...(call.signature === undefined ? {} : { extra_content: { google: { thought_signature: call.signature } } }),
  };
}

function refusalMessage({ call, decision }: Verdict): Message {
  return { role: 'tool', tool_call_id: call.id, content: refusalForModel(decision) };
}
