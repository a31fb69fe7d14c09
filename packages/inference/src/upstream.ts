import { Agent, request } from 'undici';
import { ApiError } from './errors.ts';
import { isObject, parseJson } from './json.ts';
import {
  BODY_IDLE_TIMEOUT_MS,
  CONNECT_TIMEOUT_MS,
  HEADERS_TIMEOUT_MS,
  MAX_ERROR_BYTES,
  MAX_JSON_DEPTH,
} from './limits.ts';
import type { Provider } from './providers.ts';

/** An answer of the provider that has begun. */
export interface UpstreamAnswer {
  readonly status: number;
  /** True for `text/event-stream`, false for JSON. */
  readonly events: boolean;
  readonly body: AsyncIterable<Uint8Array>;
}

/** The one connection to the model provider. Nothing of the caller's headers goes with a request. */
export class Upstream {
  readonly #provider: Provider;
  readonly #agent: Agent;

  constructor(provider: Provider) {
    this.#provider = provider;
    this.#agent = new Agent({
      connect: { timeout: CONNECT_TIMEOUT_MS },
      headersTimeout: HEADERS_TIMEOUT_MS,
      bodyTimeout: BODY_IDLE_TIMEOUT_MS,
      // A provider that spoke HTTP/2 would share one connection's fate among all requests.
      allowH2: false,
    });
  }

  /** @throws ApiError for whatever is not a successful beginning of an answer */
  async ask(body: Uint8Array, streaming: boolean, signal: AbortSignal): Promise<UpstreamAnswer> {
    const key = this.#provider.apiKey;
    try {
      const response = await request(`${this.#provider.baseUrl}/chat/completions`, {
        dispatcher: this.#agent,
        method: 'POST',
        signal,
        body,
        headers: {
          'content-type': 'application/json',
          accept: streaming ? 'text/event-stream' : 'application/json',
          'accept-encoding': 'identity',
          'user-agent': 'openshell',
          ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
        },
      });
      if (response.statusCode !== 200) throw await this.#refusal(response.statusCode, response.body);
      return {
        status: response.statusCode,
        events: String(response.headers['content-type'] ?? '').includes('event-stream'),
        body: response.body,
      };
    } catch (error) {
      throw this.transportError(error);
    }
  }

  /** The error that stands for a failure of the connection, before or within an answer. */
  transportError(error: unknown): ApiError {
    if (error instanceof ApiError) return error;
    const code = isObject(error) && typeof error.code === 'string' ? error.code : 'unknown';
    const { name, baseUrl } = this.#provider;
    const slow = code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT';
    return new ApiError(
      slow ? 504 : 502,
      'provider_unreachable',
      `The model provider ${name} at ${new URL(baseUrl).origin} ${slow ? 'did not answer in time' : 'could not be reached'} (${code}). The operator should check that it runs and that this host can reach it.`,
    );
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  async #refusal(status: number, body: AsyncIterable<Uint8Array>): Promise<ApiError> {
    const { name, keyVariable } = this.#provider;
    const text = await readSome(body);
    if (status < 400) {
      return new ApiError(
        502,
        'provider_redirect',
        `The model provider ${name} answered ${status} instead of an answer. Set its final base URL.`,
      );
    }
    // Providers quote parts of the key in these answers.
    if (status === 401 || status === 403) {
      const hint = keyVariable === undefined ? 'the provider key' : `${keyVariable} outside the sandbox`;
      return new ApiError(
        status,
        'provider_refused_key',
        `The model provider ${name} refused the operator's key (${status}). The operator should check ${hint}.`,
      );
    }
    const said = errorMessage(text);
    return new ApiError(
      status,
      'provider_error',
      `The model provider ${name} answered ${status}${said && `: ${said}`}`,
    );
  }
}

/** The message of an OpenAI-shaped error object, in one line; empty when there is none. */
export function errorMessage(text: string): string {
  try {
    const value = parseJson(text, MAX_JSON_DEPTH);
    const error = isObject(value) ? value.error : undefined;
    const message = isObject(error) ? error.message : error;
    return typeof message === 'string' ? message.replace(/\p{Cc}+/gu, ' ').trim() : '';
  } catch {
    return '';
  }
}

async function readSome(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > MAX_ERROR_BYTES) break;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
