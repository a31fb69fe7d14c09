/** What the tests of this package share: a provider that answers with given bytes, a plane behind a server, a client. */

import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { Event } from '@nemoclaw/audit';
import type { Action, Decision } from '@nemoclaw/policy';
import { createParser } from 'eventsource-parser';
import { InferencePlane } from '../plane.ts';
import { createProvider, type Provider } from '../providers.ts';

export const KEY = 'sk-test-0123456789abcdef';

export interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly url: string;
  readonly body: {
    readonly model: string;
    readonly messages: {
      role: string;
      content: unknown;
      tool_calls?: { id: string; function: { name: string; arguments: string } }[];
      tool_call_id?: string;
    }[];
    readonly [field: string]: unknown;
  };
}

export type Reply = (response: ServerResponse, received: Received) => void;

export interface FakeProvider extends AsyncDisposable {
  readonly provider: Provider;
  readonly received: Received[];
}

/** Answers the n-th request with the n-th reply, and every later one with the last. */
export async function fakeProvider(...replies: Reply[]): Promise<FakeProvider> {
  const received: Received[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const body = JSON.parse(Buffer.concat(chunks).toString()) as Received['body'];
    const entry = { headers: request.headers, url: request.url ?? '', body };
    received.push(entry);
    replies[Math.min(received.length, replies.length) - 1]?.(response, entry);
  });
  const origin = await listen(server);
  return {
    provider: createProvider({ name: 'fake', baseUrl: `${origin}/v1`, apiKey: KEY, model: 'fake-1', keyVariable: 'K' }),
    received,
    [Symbol.asyncDispose]: () => stop(server),
  };
}

/** A reply of server-sent events, its bytes cut at the given places. */
export function events(chunks: readonly unknown[], cuts: readonly number[] = []): Reply {
  const bytes = Buffer.from(chunks.map((chunk) => `data: ${text(chunk)}\n\n`).join(''));
  return (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    let from = 0;
    for (const cut of [...new Set(cuts.map((at) => at % (bytes.length + 1)))].sort((a, b) => a - b)) {
      response.write(bytes.subarray(from, cut));
      from = cut;
    }
    response.end(bytes.subarray(from));
  };
}

export function json(value: unknown, status = 200): Reply {
  return (response) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(value));
  };
}

/** A chunk with a delta. */
export function delta(value: object, finish: string | null = null): object {
  return { id: 'up', object: 'chat.completion.chunk', choices: [{ index: 0, delta: value, finish_reason: finish }] };
}

/** The chunks of one complete tool call, its arguments cut in two. */
export function callChunks(index: number, name: string, args: unknown, id = `up_${index}`): object[] {
  const json = typeof args === 'string' ? args : JSON.stringify(args);
  const half = Math.ceil(json.length / 2);
  return [
    delta({ tool_calls: [{ index, id, type: 'function', function: { name, arguments: '' } }] }),
    delta({ tool_calls: [{ index, function: { arguments: json.slice(0, half) } }] }),
    delta({ tool_calls: [{ index, function: { arguments: json.slice(half) } }] }),
  ];
}

export const DONE = '[DONE]';

/** An answer that only makes calls. */
export function calling(...calls: [name: string, args: unknown][]): Reply {
  return events([
    ...calls.flatMap(([name, args], index) => callChunks(index, name, args)),
    delta({}, 'tool_calls'),
    DONE,
  ]);
}

/** An answer that only speaks. */
export function saying(words: string, finish = 'stop'): Reply {
  return events([delta({ role: 'assistant', content: '' }), delta({ content: words }), delta({}, finish), DONE]);
}

export const allow: Decision = {
  effect: 'allow',
  rule: { id: 'default:test', name: 'test' },
  reason: 'Allowed by the test.',
  enforced: true,
};

export function deny(reason = 'Denied by the test.', effect: 'deny' | 'ask' = 'deny'): Decision {
  const rule = { id: 'tools.rules[0]', name: 'denied', line: 7 };
  return { effect, rule, reason, allowWith: 'tools: {rules: [...]}', enforced: true };
}

/** Denies tools by name and allows everything else. */
export function denying(...names: string[]): (action: Action) => Decision {
  return (action) => (action.kind === 'tool.call' && names.includes(action.tool) ? deny() : allow);
}

export interface TestPlane extends AsyncDisposable {
  readonly origin: string;
  readonly events: Event[];
  readonly plane: InferencePlane;
}

export async function testPlane(
  provider: Provider,
  decide: (action: Action) => Decision = () => allow,
  onAppend: (event: Event) => void = () => {},
): Promise<TestPlane> {
  const recorded: Event[] = [];
  let count = 0;
  const plane = new InferencePlane({
    sandbox: 'test',
    provider,
    decide,
    audit: {
      append(event) {
        onAppend(event);
        recorded.push(event);
      },
      nextCorrelation: () => `c${++count}`,
    },
  });
  const context = { processes: [{ pid: 1, executable: '/usr/bin/agent', ancestors: [] }], connection: 'conn' };
  const server = createServer((request, response) => plane.handle(request, response, context));
  const origin = await listen(server);
  return {
    origin,
    events: recorded,
    plane,
    async [Symbol.asyncDispose]() {
      await plane.close();
      await stop(server);
    },
  };
}

export interface Asked {
  readonly status: number;
  /** The body as it came. */
  readonly raw: string;
  /** Parsed events, or the parsed body as the only one; `[DONE]` left out. */
  readonly chunks: WireChunk[];
  readonly text: string;
  readonly calls: { id: string; name: string; arguments: string }[];
  readonly finish: string | undefined;
}

interface WireChunk {
  readonly error?: { readonly message: string; readonly code: string; readonly type: string };
  readonly usage?: Record<string, number>;
  readonly model?: string;
  readonly choices?: {
    readonly delta?: WireMessage;
    readonly message?: WireMessage;
    readonly finish_reason?: string | null;
  }[];
}
interface WireMessage {
  readonly content?: string | null;
  readonly tool_calls?: {
    readonly id: string;
    readonly function: { readonly name: string; readonly arguments: string };
  }[];
}

/** A tool definition as agents send it. */
export function tool(name: string, properties: object = {}): object {
  return { type: 'function', function: { name, parameters: { type: 'object', properties } } };
}

export const USER = { role: 'user', content: 'please' };

/** Asks the plane as an agent does. Offers `read`, `write` and `plugins`, streaming, unless told otherwise. */
export async function ask(origin: string, fields: object = {}, headers: Record<string, string> = {}): Promise<Asked> {
  const response = await fetch(`${origin}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({
      model: 'whatever',
      messages: [USER],
      stream: true,
      tools: [tool('read'), tool('write'), tool('plugins')],
      ...fields,
    }),
  });
  return parse(response.status, await response.text());
}

export function parse(status: number, raw: string): Asked {
  const chunks: WireChunk[] = [];
  if (raw.startsWith('data:')) {
    const parser = createParser({ onEvent: ({ data }) => data !== DONE && chunks.push(JSON.parse(data)) });
    parser.feed(raw);
  } else if (raw !== '') chunks.push(JSON.parse(raw));
  const messages = chunks.flatMap((chunk) => chunk.choices ?? []).map((choice) => choice.delta ?? choice.message ?? {});
  return {
    status,
    raw,
    chunks,
    text: messages.map((message) => message.content ?? '').join(''),
    calls: messages
      .flatMap((message) => message.tool_calls ?? [])
      .map((call) => ({ id: call.id, name: call.function.name, arguments: call.function.arguments })),
    finish:
      chunks.flatMap((chunk) => chunk.choices ?? []).findLast((choice) => choice.finish_reason)?.finish_reason ??
      undefined,
  };
}

/** The recorded actions as short lines: kind, object, phase, effect. */
export function summary(recorded: readonly Event[]): string[] {
  return recorded.map((event) => {
    if (event.type !== 'action') return event.type;
    const { action } = event;
    const object = action.kind === 'tool.call' ? action.tool : action.kind === 'inference.request' ? action.model : '';
    return `${event.phase} ${action.kind} ${object} ${event.outcome?.status ?? event.decision.effect}`;
  });
}

async function listen(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return `http://127.0.0.1:${address.port}`;
}

async function stop(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise<void>((resolve) => server.close(() => resolve()));
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
