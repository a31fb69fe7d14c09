import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { ReasoningField, Usage } from './answer/delta.ts';
import { type ApiError, sendError, sendJson } from './errors.ts';
import type { CleanCall } from './gate/judge.ts';

export type FinishReason = 'stop' | 'length' | 'tool_calls' | 'content_filter';

/** The end of an answer, as it was decided. */
export interface Ending {
  readonly reason: FinishReason;
  readonly calls: readonly CleanCall[];
  readonly usage: Usage | undefined;
}

/** Writes one answer to the agent. Several answers of the provider may go into it. */
export interface Sink {
  text(text: string): void;
  refusal(text: string): void;
  reasoning(field: ReasoningField, text: string): void;
  finish(ending: Ending): void;
  fail(error: ApiError): void;
  /** Resolves when the agent can take more. */
  drained(signal: AbortSignal): Promise<void>;
}

interface Heading {
  readonly id: string;
  readonly created: number;
  readonly model: string;
}

/** One name for the whole answer, whatever number of the provider's answers go into it. */
function heading(model: string): Heading {
  return { id: `chatcmpl-${randomUUID()}`, created: Math.floor(Date.now() / 1000), model };
}

function wireCall(call: CleanCall): object {
  return {
    id: call.id,
    type: 'function',
    function: { name: call.name, arguments: call.arguments },
    ...(call.signature === undefined ? {} : { extra_content: { google: { thought_signature: call.signature } } }),
  };
}

/** Server-sent events, each written when it is known. */
export class StreamSink implements Sink {
  readonly #response: ServerResponse;
  readonly #wantsUsage: boolean;
  readonly #heading: Heading;
  #begun = false;

  constructor(response: ServerResponse, model: string, wantsUsage: boolean) {
    this.#response = response;
    this.#wantsUsage = wantsUsage;
    this.#heading = heading(model);
  }

  text(text: string): void {
    this.#delta({ content: text });
  }

  refusal(text: string): void {
    this.#delta({ refusal: text });
  }

  reasoning(field: ReasoningField, text: string): void {
    this.#delta({ [field]: text });
  }

  finish(ending: Ending): void {
    ending.calls.forEach((call, index) => {
      this.#delta({ tool_calls: [{ index, ...wireCall(call) }] });
    });
    this.#chunk([{ index: 0, delta: {}, finish_reason: ending.reason }]);
    if (this.#wantsUsage && ending.usage !== undefined) this.#chunk([], ending.usage);
    this.#response.end('data: [DONE]\n\n');
  }

  fail(error: ApiError): void {
    if (!this.#begun) sendError(this.#response, error);
    else this.#response.end(`data: ${JSON.stringify(error.body())}\n\n`);
  }

  async drained(signal: AbortSignal): Promise<void> {
    if (this.#response.writableNeedDrain) await once(this.#response, 'drain', { signal });
  }

  #delta(delta: object): void {
    this.#chunk([{ index: 0, delta, finish_reason: null }]);
  }

  #chunk(choices: readonly object[], usage?: Usage): void {
    if (!this.#begun) {
      this.#begun = true;
      this.#response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
      this.#chunk([{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }]);
    }
    const { id, created, model } = this.#heading;
    const chunk = { id, object: 'chat.completion.chunk', created, model, choices, ...(usage && { usage }) };
    this.#response.write(`data: ${JSON.stringify(chunk)}\n\n`);
  }
}

/** One JSON body at the end. */
export class WholeSink implements Sink {
  readonly #response: ServerResponse;
  readonly #heading: Heading;
  #text = '';
  #refusal = '';
  readonly #reasoning: Partial<Record<ReasoningField, string>> = {};

  constructor(response: ServerResponse, model: string) {
    this.#response = response;
    this.#heading = heading(model);
  }

  text(text: string): void {
    this.#text += text;
  }

  refusal(text: string): void {
    this.#refusal += text;
  }

  reasoning(field: ReasoningField, text: string): void {
    this.#reasoning[field] = (this.#reasoning[field] ?? '') + text;
  }

  finish(ending: Ending): void {
    const message = {
      role: 'assistant',
      content: this.#text === '' ? null : this.#text,
      refusal: this.#refusal === '' ? null : this.#refusal,
      ...this.#reasoning,
      ...(ending.calls.length === 0 ? {} : { tool_calls: ending.calls.map(wireCall) }),
    };
    const { id, created, model } = this.#heading;
    sendJson(this.#response, 200, {
      id,
      object: 'chat.completion',
      created,
      model,
      choices: [{ index: 0, message, finish_reason: ending.reason, logprobs: null }],
      ...(ending.usage && { usage: ending.usage }),
    });
  }

  fail(error: ApiError): void {
    sendError(this.#response, error);
  }

  async drained(): Promise<void> {}
}
