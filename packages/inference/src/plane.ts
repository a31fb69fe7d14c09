import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AuditSink } from '@nemoclaw/audit';
import type { Action, Decision, ProcessRef, Subject } from '@nemoclaw/policy';
import { ApiError, closedError, sendError, sendJson } from './errors.ts';
import { CallMemory } from './gate/memory.ts';
import { settleResults } from './gate/results.ts';
import { Ledger } from './ledger.ts';
import { MAX_CONCURRENT_REQUESTS } from './limits.ts';
import type { Provider } from './providers.ts';
import { readChatRequest, sessionOf } from './request.ts';
import { type Sink, StreamSink, WholeSink } from './sink.ts';
import { runTurn } from './turn.ts';
import { Upstream } from './upstream.ts';

export interface InferenceOptions {
  readonly sandbox: string;
  readonly provider: Provider;
  decide(action: Action): Decision;
  /** `append` throws when the record cannot be written: then nothing is forwarded or released. */
  readonly audit: AuditSink;
}

/** Who sent a request: the processes at the other end of its connection, and that connection's correlation. */
export interface RequestContext {
  readonly processes: readonly ProcessRef[];
  readonly connection: string;
}

/**
 * The only way from a sandbox to a model, served as the virtual host `inference.local`: `POST /v1/chat/completions` and
 * `GET /v1/models` in OpenAI's format. The provider's key is put in here; tool calls pass the gate here.
 */
export class InferencePlane {
  readonly #options: InferenceOptions;
  readonly #ledger: Ledger;
  readonly #upstream: Upstream;
  readonly #memory = new CallMemory();
  readonly #active = new Map<AbortController, Promise<void>>();
  #closed = false;

  constructor(options: InferenceOptions) {
    this.#options = options;
    this.#ledger = new Ledger((action) => options.decide(action), options.audit);
    this.#upstream = new Upstream(options.provider);
  }

  /** Answers one request. Never throws; every failure is an answer in OpenAI's error shape. */
  handle(request: IncomingMessage, response: ServerResponse, context: RequestContext): void {
    response.on('error', () => response.destroy());
    const path = (request.url ?? '').split('?', 1)[0];
    if (request.method === 'GET' && path === '/v1/models') {
      sendJson(response, 200, this.#models());
    } else if (request.method !== 'POST' || path !== '/v1/chat/completions') {
      const served = 'Use POST /v1/chat/completions or GET /v1/models.';
      sendError(response, new ApiError(404, 'not_found', `inference.local does not serve this. ${served}`));
    } else if (this.#closed || this.#active.size >= MAX_CONCURRENT_REQUESTS) {
      sendError(response, new ApiError(429, 'busy', 'Too many model requests at once. Wait for one to end.'));
    } else {
      const controller = new AbortController();
      const chat = this.#chat(request, response, context, controller);
      this.#active.set(
        controller,
        chat.finally(() => this.#active.delete(controller)),
      );
    }
  }

  /** Ends every request and the connections to the provider. When it resolves, every outcome is on record. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const controller of this.#active.keys()) controller.abort();
    await Promise.all([this.#upstream.close(), ...this.#active.values()]);
  }

  async #chat(
    request: IncomingMessage,
    response: ServerResponse,
    context: RequestContext,
    controller: AbortController,
  ): Promise<void> {
    response.on('close', () => controller.abort());
    controller.signal.addEventListener('abort', () => {
      // An agent that stops within its body must not hold up close().
      if (!request.complete) request.destroy();
    });
    let sink: Sink = new WholeSink(response, this.#options.provider.model);
    try {
      const chat = await readChatRequest(request);
      if (chat.streaming) sink = new StreamSink(response, this.#options.provider.model, chat.wantsUsage);
      const subject = this.#subject(request, context);
      settleResults(chat, subject, this.#ledger, this.#memory);
      await runTurn({
        chat,
        subject,
        connection: context.connection,
        provider: this.#options.provider,
        upstream: this.#upstream,
        ledger: this.#ledger,
        memory: this.#memory,
        sink,
        signal: controller.signal,
      });
    } catch (error) {
      sink.fail((error instanceof ApiError ? error : closedError(error)).forAgent(this.#options.provider.apiKey));
      // What is left of a refused body is not read; the connection cannot be used again.
      if (!request.complete) response.once('finish', () => request.destroy());
    }
  }

  #subject(request: IncomingMessage, context: RequestContext): Subject {
    const session = sessionOf(request.headers);
    return {
      sandbox: this.#options.sandbox,
      processes: context.processes,
      ...(session === undefined ? {} : { session }),
    };
  }

  #models(): object {
    const { model } = this.#options.provider;
    return { object: 'list', data: [{ id: model, object: 'model', created: 0, owned_by: 'openshell' }] };
  }
}
