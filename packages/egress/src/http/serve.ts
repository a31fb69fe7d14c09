import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { ProcessRef } from '@nemoclaw/policy';
import type { Service } from '../options.ts';
import { type Denial, rawDenial, sendDenial } from './denial.ts';
import { drain } from './drain.ts';
import type { RequestHandler } from './front.ts';
import { checkRequest } from './headers.ts';
import { AmbiguousRequest, type Authority } from './target.ts';

/** Hands the requests of a connection to a service of the supervisor. */
export class ServiceHandler implements RequestHandler {
  readonly #service: Service;
  readonly #authority: Authority;
  readonly #context: { readonly processes: readonly ProcessRef[]; readonly connection: string };

  constructor(
    service: Service,
    authority: Authority,
    context: { readonly processes: readonly ProcessRef[]; readonly connection: string },
  ) {
    this.#service = service;
    this.#authority = authority;
    this.#context = context;
  }

  request(request: IncomingMessage, response: ServerResponse): void {
    try {
      checkRequest(request, this.#authority);
    } catch (error) {
      if (!(error instanceof AmbiguousRequest)) throw error;
      drain(request);
      sendDenial(response, error.status, this.#problem(error.message), true);
      return;
    }
    if (request.headers.expect !== undefined && request.httpVersion === '1.1') response.writeContinue();
    this.#service.handle(request, response, this.#context);
  }

  tunnel(_request: IncomingMessage, socket: Socket): void {
    socket.end(rawDenial(403, this.#problem('CONNECT is not supported')));
  }

  malformed(code: string, socket: Socket): void {
    const reason = `the request could not be read as HTTP/1.1 (${code})`;
    socket.end(rawDenial(400, this.#problem(reason)), () => socket.destroy());
  }

  #problem(reason: string): Denial {
    const { host, port } = this.#authority;
    return { error: 'bad_request', reason, action: 'net.connect', host, port };
  }
}
