import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { type Denial, rawDenial, sendDenial } from './denial.ts';
import { drain } from './drain.ts';
import type { RequestHandler } from './front.ts';
import { describeTarget } from './target.ts';

/** Tells a client that speaks HTTP why its connection goes no further. Nothing that it sends is used. */
export class Refusal implements RequestHandler {
  readonly #status: number;
  readonly #denial: Denial;

  constructor(status: number, denial: Denial) {
    this.#status = status;
    this.#denial = denial;
  }

  request(request: IncomingMessage, response: ServerResponse): void {
    drain(request);
    const asked = { method: request.method, path: describeTarget(request.url ?? '') };
    sendDenial(response, this.#status, { ...this.#denial, ...asked }, true);
  }

  tunnel(_request: IncomingMessage, socket: Socket): void {
    socket.end(rawDenial(403, this.#denial));
  }

  malformed(_code: string, socket: Socket): void {
    socket.end(rawDenial(400, this.#denial), () => socket.destroy());
  }
}
