import http from 'node:http';
import type { Socket } from 'node:net';
import { dial, dialTls, type UpstreamTls } from '../address/dial.ts';
import { IDLE_MS } from '../limits.ts';
import type { InspectedConnection } from './inspector.ts';

/**
 * The other side of one client connection: one connection at a time to the checked address, kept alive as long as the
 * client's. A fresh one is dialled, to the same address, when the origin has closed the last.
 */
export class PinnedUpstream extends http.Agent {
  readonly #connection: InspectedConnection;
  readonly #trust: UpstreamTls;
  readonly #idleClosed: () => void;
  #socket: Socket | undefined;
  #closed = false;

  /** @param idleClosed called when the origin's connection has closed. */
  constructor(connection: InspectedConnection, trust: UpstreamTls, idleClosed: () => void) {
    super({ keepAlive: true, maxSockets: 1, maxFreeSockets: 1, timeout: IDLE_MS });
    this.#connection = connection;
    this.#trust = trust;
    this.#idleClosed = idleClosed;
  }

  override createConnection(_options: unknown, ready?: (error: Error | null, socket: Socket) => void): undefined {
    this.#dial().then(
      (socket) => ready?.(null, socket),
      // Node reads only the error then; its type wants a stream all the same.
      (error: Error) => (ready as ((error: Error) => void) | undefined)?.(error),
    );
  }

  override destroy(): void {
    this.#closed = true;
    this.#socket?.destroy();
    super.destroy();
  }

  async #dial(): Promise<Socket> {
    const { authority } = this.#connection;
    const destination = await this.#connection.destination();
    const socket = await (authority.scheme === 'https'
      ? dialTls(destination, authority.host, this.#trust)
      : dial(destination));
    if (this.#closed) {
      socket.destroy();
      throw new Error('the client is gone');
    }
    this.#socket = socket;
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.#idleClosed());
    return socket;
  }
}
