import type { Socket } from 'node:net';
import { IDLE_MS } from './limits.ts';

/**
 * Copies bytes both ways untouched, each side no faster than the other reads, and passes on a half-close. An error on
 * one side destroys the other.
 */
export function relay(client: Socket, upstream: Socket): void {
  join(client, upstream);
  join(upstream, client);
  client.pipe(upstream);
  upstream.pipe(client);
}

function join(from: Socket, to: Socket): void {
  from.setTimeout(IDLE_MS, () => from.destroy());
  from.on('error', () => to.resetAndDestroy());
  from.once('close', () => {
    // Closed in both directions: what was read is on its way and may still be flushed.
    if (from.readableEnded) to.destroySoon();
    else to.destroy();
  });
}
