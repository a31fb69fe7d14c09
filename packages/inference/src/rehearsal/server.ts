import { randomBytes, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { ApiError, sendError, sendJson } from '../errors.ts';
import { textOf } from '../gate/results.ts';
import { createProvider, type Provider } from '../providers.ts';
import { type ChatRequest, type Message, readChatRequest } from '../request.ts';
import { StoryCursor } from './cursor.ts';
import type { Story, StoryStep, TranscriptMessage } from './story.ts';

const MODEL = 'rehearsal';
/** Small pieces, as a real provider sends them: a call's arguments never come in one. */
const PIECE_CHARS = 12;

/** A running scripted provider. */
export interface Rehearsal {
  readonly provider: Provider;
  close(): Promise<void>;
}

/**
 * Starts a scripted model provider on a free loopback port. It speaks OpenAI's chat completions, streaming and not, and
 * wants the random key that is in its {@link Provider}. It understands nothing: whatever is asked, it plays the story.
 */
export async function startRehearsal(story: Story): Promise<Rehearsal> {
  const key = `rehearsal-${randomBytes(24).toString('hex')}`;
  const cursor = new StoryCursor();
  const server = createServer((request, response) => {
    answer(request, response, { story, key, cursor }).catch((error: unknown) => {
      sendError(response, error instanceof ApiError ? error : new ApiError(500, 'rehearsal', 'The rehearsal failed.'));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    provider: createProvider({
      name: 'rehearsal',
      baseUrl: `http://127.0.0.1:${portOf(server)}/v1`,
      apiKey: key,
      model: MODEL,
      scripted: true,
    }),
    async close() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

interface Play {
  readonly story: Story;
  readonly key: string;
  readonly cursor: StoryCursor;
}

async function answer(request: IncomingMessage, response: ServerResponse, play: Play): Promise<void> {
  if (!sameKey(request.headers.authorization, `Bearer ${play.key}`)) {
    throw new ApiError(401, 'invalid_api_key', 'Wrong key.');
  }
  if (request.method === 'GET' && request.url === '/v1/models') {
    const model = { id: MODEL, object: 'model', created: 0, owned_by: 'rehearsal' };
    sendJson(response, 200, { object: 'list', data: [model] });
    return;
  }
  if (request.method !== 'POST' || request.url !== '/v1/chat/completions') {
    throw new ApiError(404, 'not_found', 'Not served.');
  }
  const chat = await readChatRequest(request);
  const step = chosenStep(play, chat.body.messages);
  if (chat.streaming) streamStep(response, step, chat);
  else sendStep(response, step);
}

function chosenStep({ story, cursor }: Play, messages: readonly Message[]): StoryStep {
  const step = story.steps[cursor.step(messages)];
  if (step !== undefined) return step;
  return { say: typeof story.closing === 'string' ? story.closing : story.closing(transcript(messages)), calls: [] };
}

function transcript(messages: readonly Message[]): TranscriptMessage[] {
  return messages.map((message) => ({
    role: message.role,
    text: textOf(message),
    calls: (message.tool_calls ?? []).map(({ id, function: spec }) => ({
      id,
      tool: spec.name,
      arguments: spec.arguments,
    })),
    ...(message.tool_call_id ? { callId: message.tool_call_id } : {}),
  }));
}

function wireCalls(step: StoryStep): { id: string; type: 'function'; function: { name: string; arguments: string } }[] {
  return step.calls.map((call) => ({
    id: `call_${randomBytes(12).toString('hex')}`,
    type: 'function',
    function: { name: call.tool, arguments: JSON.stringify(call.arguments) },
  }));
}

function finishReason(step: StoryStep): string {
  return step.calls.length > 0 ? 'tool_calls' : 'stop';
}

/** Invented but steady numbers, so that what adds them up can be seen to. */
function usage(step: StoryStep): object {
  const completion = Math.ceil(JSON.stringify(step).length / 4);
  return { prompt_tokens: 100, completion_tokens: completion, total_tokens: 100 + completion };
}

function sendStep(response: ServerResponse, step: StoryStep): void {
  const calls = wireCalls(step);
  const message = { role: 'assistant', content: step.say ?? null, ...(calls.length > 0 && { tool_calls: calls }) };
  sendJson(response, 200, {
    id: `rehearsal-${randomBytes(6).toString('hex')}`,
    object: 'chat.completion',
    created: Math.floor(Date.now() / 1000),
    model: MODEL,
    choices: [{ index: 0, message, finish_reason: finishReason(step) }],
    usage: usage(step),
  });
}

function streamStep(response: ServerResponse, step: StoryStep, chat: ChatRequest): void {
  const head = {
    id: `rehearsal-${randomBytes(6).toString('hex')}`,
    object: 'chat.completion.chunk',
    created: Math.floor(Date.now() / 1000),
    model: MODEL,
  };
  const send = (choices: readonly object[], more: object = {}): void => {
    response.write(`data: ${JSON.stringify({ ...head, choices, ...more })}\n\n`);
  };
  const delta = (value: object, finish: string | null = null): void => {
    send([{ index: 0, delta: value, finish_reason: finish }]);
  };
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  delta({ role: 'assistant', content: '' });
  for (const text of cut(step.say ?? '')) delta({ content: text });
  wireCalls(step).forEach(({ id, type, function: spec }, index) => {
    delta({ tool_calls: [{ index, id, type, function: { name: spec.name, arguments: '' } }] });
    for (const text of cut(spec.arguments)) delta({ tool_calls: [{ index, function: { arguments: text } }] });
  });
  delta({}, finishReason(step));
  if (chat.wantsUsage) send([], { usage: usage(step) });
  response.end('data: [DONE]\n\n');
}

function cut(text: string): string[] {
  return Array.from({ length: Math.ceil(text.length / PIECE_CHARS) }, (_, index) =>
    text.slice(index * PIECE_CHARS, (index + 1) * PIECE_CHARS),
  );
}

function sameKey(given: string | undefined, wanted: string): boolean {
  const a = Buffer.from(given ?? '');
  const b = Buffer.from(wanted);
  return a.length === b.length && timingSafeEqual(a, b);
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the rehearsal server has no port');
  return address.port;
}
