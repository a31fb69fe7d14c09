import type { Socket as DatagramSocket } from 'node:dgram';
import type { Server } from 'node:net';
import { Engine } from './engine.ts';
import type { EgressOptions } from './options.ts';
import { kernelSeams } from './seams.ts';

/**
 * The network plane of one sandbox: the only way out of its network namespace. Decides every connection and every
 * request on inspected ones, records each decision before it takes effect, and destroys what it cannot decide or
 * record.
 */
export class EgressPlane {
  readonly #engine: Engine;

  constructor(options: EgressOptions) {
    this.#engine = new Engine(options, kernelSeams(options.initPid));
  }

  /** A listener that receives connections made to any address (transparent interception), handed over by the sandbox. */
  attachTcp(server: Server): void {
    this.#engine.attachTcp(server);
  }

  /** A UDP socket that receives the sandbox's DNS questions. */
  attachDns(socket: DatagramSocket): void {
    this.#engine.attachDns(socket);
  }

  /**
   * Records a datagram that the kernel plane refused, once per destination. `port` is 0 for protocols without ports.
   * Throws when the log does.
   */
  datagram(event: { address: string; port: number; protocol: string }): void {
    this.#engine.datagram(event);
  }

  /** Destroys every connection, closes the attached sockets, and resolves when the last outcome is recorded. */
  close(): Promise<void> {
    return this.#engine.close();
  }
}
