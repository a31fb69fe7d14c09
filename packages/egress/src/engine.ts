import type { Socket as DatagramSocket } from 'node:dgram';
import type { Server, Socket } from 'node:net';
import type { NetDatagram } from '@nemoclaw/policy';
import { UpstreamTls } from './address/dial.ts';
import { handleConnection, type Shared } from './connection.ts';
import { NamePool } from './dns/pool.ts';
import { Resolver } from './dns/resolver.ts';
import { serveUdp } from './dns/transport.ts';
import { HttpFront } from './http/front.ts';
import { RestInspector } from './inspect/rest.ts';
import { MAX_CONNECTIONS, MAX_FAILURE_TEXT, MAX_RECORDED_DATAGRAMS } from './limits.ts';
import type { EgressOptions } from './options.ts';
import { Recorder } from './record.ts';
import type { Seams } from './seams.ts';

/** Lower bounds than the product's, for tests. */
export interface Bounds {
  readonly names?: number;
  readonly connections?: number;
}

/** The plane with its contact points to the machine handed in. */
export class Engine {
  readonly #shared: Shared;
  readonly #recorder: Recorder;
  readonly #maxConnections: number;
  readonly #servers: Server[] = [];
  readonly #datagramSockets: DatagramSocket[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #tasks = new Set<Promise<void>>();
  readonly #datagrams = new Set<string>();
  #unrecordedDatagrams = 0;
  #crowded = false;
  #closed = false;

  constructor(options: EgressOptions, seams: Seams, bounds: Bounds = {}) {
    const recorder = new Recorder(options.sandbox, options.decide, options.audit);
    const pool = new NamePool(bounds.names);
    const resolver = new Resolver(recorder, pool);
    const front = new HttpFront();
    const trust = new UpstreamTls(options.upstreamCa);
    const inspectors = { rest: new RestInspector(recorder, front, trust) };
    this.#recorder = recorder;
    this.#maxConnections = bounds.connections ?? MAX_CONNECTIONS;
    this.#shared = { options, seams, recorder, pool, resolver, front, trust, inspectors };
  }

  attachTcp(server: Server & { pauseOnConnect?: boolean; allowHalfOpen?: boolean }): void {
    // Not a byte is read before a decision; a half-close is passed on, not answered.
    server.pauseOnConnect = true;
    server.allowHalfOpen = true;
    this.#servers.push(server);
    server.on('error', () => {});
    server.on('connection', (socket: Socket) => this.#accept(socket));
  }

  attachDns(socket: DatagramSocket): void {
    this.#datagramSockets.push(socket);
    serveUdp(socket, this.#shared.resolver);
  }

  datagram(event: { address: string; port: number; protocol: string }): void {
    const key = `${event.protocol} ${event.address} ${event.port}`;
    if (this.#datagrams.has(key) || this.#datagrams.size >= MAX_RECORDED_DATAGRAMS) {
      this.#unrecordedDatagrams += 1;
      return;
    }
    const { address, port, protocol } = event;
    const action: NetDatagram = {
      kind: 'net.datagram',
      subject: { sandbox: this.#recorder.sandbox },
      address,
      port,
      protocol,
    };
    this.#recorder.decision(this.#recorder.nextCorrelation(), action, this.#recorder.decide(action));
    this.#datagrams.add(key);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const server of this.#servers) server.close(() => {});
    for (const socket of this.#datagramSockets) closeDatagram(socket);
    for (const socket of this.#sockets) socket.destroy();
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
    this.#shared.front.close();
    this.#summarise();
  }

  #accept(socket: Socket): void {
    socket.on('error', () => socket.destroy());
    if (this.#closed || this.#sockets.size >= this.#maxConnections) {
      socket.resetAndDestroy();
      if (!this.#closed) this.#reportCrowd();
      return;
    }
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    socket.setNoDelay(true);
    const task = handleConnection(this.#shared, socket)
      .catch((error: unknown) => this.#fail(socket, error))
      .finally(() => this.#tasks.delete(task));
    this.#tasks.add(task);
  }

  /** Fail closed: whatever went wrong ends the connection it went wrong on, and no other. */
  #fail(socket: Socket, error: unknown): void {
    socket.destroy();
    const what = error instanceof Error ? `${error.name}: ${error.message.slice(0, MAX_FAILURE_TEXT)}` : 'error';
    this.#tryFinding('A connection failed inside the network plane', 'medium', `it was destroyed (${what})`);
  }

  #reportCrowd(): void {
    if (this.#crowded) return;
    this.#crowded = true;
    this.#tryFinding(
      'Too many connections',
      'medium',
      `more than ${this.#maxConnections} connections at once; further ones are refused until some close`,
    );
  }

  #summarise(): void {
    const questions = this.#shared.resolver.unrecorded;
    const datagrams = this.#unrecordedDatagrams;
    if (questions + datagrams === 0) return;
    const message = `${questions} DNS questions and ${datagrams} refused datagrams beyond those recorded one by one`;
    this.#tryFinding('Repeated or excess network events', 'low', message);
  }

  #tryFinding(title: string, severity: 'low' | 'medium', message: string): void {
    try {
      this.#recorder.finding(title, severity, message);
    } catch {
      // The log cannot be written: the connection is gone already, which is what matters.
    }
  }
}

function closeDatagram(socket: DatagramSocket): void {
  try {
    socket.close();
  } catch {
    // Closed by whoever handed it over.
  }
}
