import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { z } from 'zod';
import { ApiError } from './errors.ts';
import { isObject, type JsonObject, parseJson } from './json.ts';
import { MAX_JSON_DEPTH, MAX_MESSAGES, MAX_NAME_CHARS, MAX_REQUEST_BYTES, MAX_TOOLS } from './limits.ts';

const toolCall = z.looseObject({
  id: z.string(),
  function: z.looseObject({ name: z.string(), arguments: z.string() }),
});
const message = z.looseObject({
  role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
  content: z.union([z.string(), z.array(z.looseObject({ type: z.string() }))]).nullish(),
  tool_calls: z.array(toolCall).nullish(),
  tool_call_id: z.string().nullish(),
});
const tool = z.looseObject({
  type: z.literal('function'),
  function: z.looseObject({ name: z.string().min(1).max(MAX_NAME_CHARS), parameters: z.unknown().optional() }),
});
const body = z.looseObject({
  model: z.string().max(MAX_NAME_CHARS).default(''),
  messages: z.array(message).min(1).max(MAX_MESSAGES),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
  tools: z.array(tool).max(MAX_TOOLS).nullish(),
  n: z.literal(1).nullish(),
});

export type Message = z.infer<typeof message>;
export type ToolCallMessage = z.infer<typeof toolCall>;
type Body = z.infer<typeof body>;

/** A checked chat-completions request. Fields that are not named here are passed on untouched. */
export interface ChatRequest {
  readonly body: Body;
  readonly requestedModel: string;
  readonly streaming: boolean;
  readonly wantsUsage: boolean;
  /** Offered tools: name to its JSON-schema properties, where it has some. */
  readonly tools: ReadonlyMap<string, JsonObject>;
}

/** Fields by which a caller could make the provider act, or answer, outside what this plane sees. */
const REFUSED_FIELDS: Readonly<Record<string, string>> = {
  functions: 'legacy function calling is not supported: offer `tools`',
  function_call: 'legacy function calling is not supported: use `tool_choice`',
  web_search_options: 'a search run by the provider would leave the sandbox unseen',
  plugins: 'plugins run by the provider would leave the sandbox unseen',
  mcp_servers: 'MCP servers called by the provider would be reached unseen',
  models: 'the operator chooses the model',
  route: 'the operator chooses the model',
};

/** Reads and checks the request. @throws ApiError with 400 or 413 */
export async function readChatRequest(request: IncomingMessage): Promise<ChatRequest> {
  const value = decode(await readBody(request));
  if (isObject(value)) {
    for (const [field, reason] of Object.entries(REFUSED_FIELDS)) {
      if (value[field] != null) throw unsupported(field, reason);
    }
  }
  const parsed = body.safeParse(value);
  if (!parsed.success) throw invalid(firstProblem(parsed.error));
  const offered = new Map<string, JsonObject>();
  for (const { function: spec } of parsed.data.tools ?? []) offered.set(spec.name, properties(spec.parameters));
  parsed.data.messages.forEach(refuseRemoteContent);
  return {
    body: parsed.data,
    requestedModel: parsed.data.model,
    streaming: parsed.data.stream === true,
    wantsUsage: parsed.data.stream_options?.include_usage === true,
    tools: offered,
  };
}

/** The trace id of a W3C `traceparent` header (https://www.w3.org/TR/trace-context/#traceparent-header). */
export function sessionOf(headers: IncomingHttpHeaders): string | undefined {
  const value = headers.traceparent;
  const match = typeof value === 'string' ? /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/.exec(value) : null;
  const trace = match?.[1];
  return trace === undefined || /^0+$/.test(trace) ? undefined : trace;
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') throw invalid('send the body without content-encoding');
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_REQUEST_BYTES) {
      throw new ApiError(413, 'request_too_large', `The request is larger than ${MAX_REQUEST_BYTES} bytes.`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function decode(bytes: Buffer): unknown {
  try {
    return parseJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes), MAX_JSON_DEPTH);
  } catch (error) {
    // V8 quotes the input in its message; only our own says something safe.
    const tooDeep = error instanceof SyntaxError && error.message.startsWith('JSON is nested');
    throw invalid(tooDeep ? error.message : 'the body is not valid UTF-8 JSON');
  }
}

function firstProblem(error: z.ZodError): string {
  const issue = error.issues[0];
  return issue === undefined ? 'the body has the wrong shape' : `${issue.path.join('.') || 'body'}: ${issue.message}`;
}

function properties(schema: unknown): JsonObject {
  return isObject(schema) && isObject(schema.properties) ? schema.properties : {};
}

/** A URL in a message would be fetched by the provider, past the egress plane. */
function refuseRemoteContent(value: Message): void {
  if (!Array.isArray(value.content)) return;
  for (const part of value.content) {
    for (const [field, inner] of Object.entries(part)) {
      const named = typeof inner === 'string' && /(^|_)url$/.test(field) ? inner : undefined;
      const url = isObject(inner) ? inner.url : named;
      if (url !== undefined && !(typeof url === 'string' && /^data:/i.test(url))) {
        throw unsupported(`a ${field} in messages`, 'the provider would fetch that address unseen: send a data: URL');
      }
    }
  }
}

function invalid(problem: string): ApiError {
  return new ApiError(400, 'invalid_request', `The request was not forwarded: ${problem}.`);
}

function unsupported(field: string, reason: string): ApiError {
  return new ApiError(400, 'unsupported_field', `The request was not forwarded because of ${field}: ${reason}.`);
}
