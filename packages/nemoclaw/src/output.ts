import { neutralise } from '@nemoclaw/audit';

/** What is kept of one stream of a turn, in characters; of more, the end. */
export const MAX_OUTPUT_CHARS = 8 * 1024 * 1024;

/** Reads a stream of the sandbox to its end. */
export async function readOutput(stream: NodeJS.ReadableStream | null): Promise<string> {
  const decoder = new TextDecoder();
  let all = '';
  for await (const chunk of stream ?? []) {
    all += typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true });
    if (all.length > MAX_OUTPUT_CHARS) all = all.slice(-MAX_OUTPUT_CHARS);
  }
  return all + decoder.decode();
}

/** Text that an agent chose, safe to print: lines stay lines, and nothing in them acts on the terminal. */
export function printable(text: string): string {
  return text.split('\n').map(neutralise).join('\n');
}
