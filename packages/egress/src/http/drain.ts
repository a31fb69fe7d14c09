import type { IncomingMessage } from 'node:http';
import { MAX_DRAINED_BYTES } from '../limits.ts';

/** Throws the body of a refused request away, so that its connection stays usable; one that is too long ends it. */
export function drain(request: IncomingMessage): void {
  let drained = 0;
  request.on('data', (chunk: Buffer) => {
    drained += chunk.length;
    if (drained > MAX_DRAINED_BYTES) request.socket.destroy();
  });
  request.resume();
}
