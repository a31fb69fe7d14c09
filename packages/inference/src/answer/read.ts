import { createParser } from 'eventsource-parser';
import { ApiError } from '../errors.ts';
import { parseJson } from '../json.ts';
import { MAX_EVENT_CHARS, MAX_JSON_DEPTH } from '../limits.ts';
import { errorMessage, type UpstreamAnswer } from '../upstream.ts';
import { type Delta, readDelta } from './delta.ts';

/** Counts the bytes of all answers to one request of the agent. */
export interface ByteBudget {
  used: number;
  readonly limit: number;
}

/**
 * The chunks of an answer, as they arrive. Ends after `[DONE]`, or at the end of a JSON answer.
 *
 * @throws ApiError when the answer is too large, malformed, cut off, or reports an error
 */
export async function* readAnswer(answer: UpstreamAnswer, budget: ByteBudget): AsyncGenerator<Delta> {
  yield* answer.events ? readEvents(answer.body, budget) : readWhole(answer.body, budget);
}

async function* readEvents(body: AsyncIterable<Uint8Array>, budget: ByteBudget): AsyncGenerator<Delta> {
  const queue: string[] = [];
  let tooLong = false;
  const parser = createParser({
    maxBufferSize: MAX_EVENT_CHARS,
    onEvent: (event) => queue.push(event.data),
    onError: (error) => {
      // Fields the format does not know are skipped, as it demands.
      if (error.type === 'max-buffer-size-exceeded') tooLong = true;
    },
  });
  const decoder = new TextDecoder('utf-8');
  let finished = false;
  for await (const chunk of body) {
    spend(budget, chunk.length);
    parser.feed(decoder.decode(chunk, { stream: true }));
    if (tooLong) throw broken('sent an event that is too long');
    for (const data of queue.splice(0)) {
      if (data.trim() === '[DONE]') return;
      const delta = deltaOf(data);
      if (delta.finish !== undefined) finished = true;
      yield delta;
    }
  }
  // Some servers close without [DONE]; without a finish reason either, the end is missing.
  if (!finished) throw broken('stopped in the middle of its answer');
}

async function* readWhole(body: AsyncIterable<Uint8Array>, budget: ByteBudget): AsyncGenerator<Delta> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) {
    spend(budget, chunk.length);
    chunks.push(chunk);
  }
  yield deltaOf(Buffer.concat(chunks).toString('utf8'));
}

function deltaOf(data: string): Delta {
  let value: unknown;
  try {
    value = parseJson(data, MAX_JSON_DEPTH);
  } catch {
    throw broken('sent something that is not JSON');
  }
  const delta = readDelta(value);
  if (delta.error !== undefined) {
    const said = errorMessage(delta.error);
    throw broken(`reported an error${said && `: ${said}`}`);
  }
  return delta;
}

function spend(budget: ByteBudget, bytes: number): void {
  budget.used += bytes;
  if (budget.used > budget.limit) throw broken(`sent more than ${budget.limit} bytes`);
}

function broken(what: string): ApiError {
  return new ApiError(
    502,
    'provider_answer',
    `The model provider ${what}. Nothing of its unfinished tool calls was released.`,
  );
}
