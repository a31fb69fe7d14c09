import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { HEADERS_MS, KEEP_ALIVE_MS, MAX_HEADER_BYTES } from '../limits.ts';

/** Takes the requests of one connection. What a method throws destroys the connection. */
export interface RequestHandler {
  request(request: IncomingMessage, response: ServerResponse): void;
  /** A CONNECT request: `socket` is no longer HTTP. */
  tunnel(request: IncomingMessage, socket: Socket): void;
  /** The parser gave up on what the client sent; `code` is its reason. The socket is still writable. */
  malformed(code: string, socket: Socket): void;
}

/**
 * The HTTP/1 server side of every connection that is not merely relayed: Node's parser in its strict mode, fed with
 * sockets that were accepted elsewhere. A client that closes its sending side is taken to have gone, as by most
 * servers: nothing tells it from one that has.
 */
export class HttpFront {
  readonly #server: http.Server;
  readonly #handlers = new WeakMap<Socket, RequestHandler>();

  constructor() {
    const server = http.createServer({
      insecureHTTPParser: false,
      // Answered with the other checks, as JSON.
      requireHostHeader: false,
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: HEADERS_MS,
      // An upload may take as long as it likes while bytes move: the socket's idle timeout bounds it.
      requestTimeout: 0,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: 5_000,
    });
    // Node drops fields beyond this count in silence; the byte limit already bounds them.
    server.maxHeadersCount = 0;
    server.timeout = 0;
    server.on('request', (request: IncomingMessage, response: ServerResponse) => this.#dispatch(request, response));
    server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) =>
      this.#dispatch(request, response),
    );
    server.on('connect', (request: IncomingMessage, socket: Socket) => {
      socket.on('error', () => socket.destroy());
      this.#guard(socket, (handler) => handler.tunnel(request, socket));
    });
    server.on('clientError', (error: Error & { code?: string }, socket) => {
      if (!socket.writable || error.code === 'ECONNRESET') return void socket.destroy();
      this.#guard(socket as Socket, (handler) => handler.malformed(error.code ?? 'error', socket as Socket));
    });
    // The server never listens; this starts the check of header timeouts, which listening would.
    server.emit('listening');
    this.#server = server;
  }

  /** Serves a connection. `socket` may hold bytes that were pushed back onto it. */
  serve(socket: Socket, handler: RequestHandler): void {
    this.#handlers.set(socket, handler);
    this.#server.emit('connection', socket);
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  #dispatch(request: IncomingMessage, response: ServerResponse): void {
    // A client that goes away while it is answered is no fault of the process.
    response.on('error', () => {});
    request.on('error', () => {});
    this.#guard(request.socket, (handler) => handler.request(request, response));
  }

  #guard(socket: Socket, action: (handler: RequestHandler) => void): void {
    const handler = this.#handlers.get(socket);
    try {
      if (!handler) throw new Error('a request on an unknown connection');
      action(handler);
    } catch {
      socket.destroy();
    }
  }
}
