import dgram from 'node:dgram';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import tls from 'node:tls';
import type { ActionEvent, Event } from '@nemoclaw/audit';
import type { Action, ActionKind, Decision, ProcessRef } from '@nemoclaw/policy';
import packet, { type RecordType } from 'dns-packet';
import { type Bounds, Engine } from '../engine.ts';
import type { Service } from '../options.ts';
import type { Seams } from '../seams.ts';
import { CertificateAuthority } from '../tls/authority.ts';

/** Test support: a plane on loopback whose connections carry an original destination of the test's choosing. */

/** A test that waits for what never comes fails after this long. */
export const LIMIT = { timeout: 20_000 };

const CURL: ProcessRef = { pid: 4242, executable: '/usr/bin/curl', ancestors: ['/usr/bin/bash'] };

export function allow(inspect?: 'rest', extra: Partial<NonNullable<Decision['obligations']>> = {}): Decision {
  return {
    effect: 'allow',
    rule: { id: 'network_policies.test', name: 'test' },
    reason: 'a rule of the test',
    enforced: true,
    obligations: { tls: 'terminate', allowedIps: [], ...(inspect ? { inspect } : {}), ...extra },
  };
}

export function deny(reason = 'not in the policy'): Decision {
  return {
    effect: 'deny',
    rule: { id: 'default:network', name: 'default' },
    reason,
    enforced: true,
    allowWith: 'host: x',
  };
}

/** Keeps records; can be told to fail. */
export class MemoryAudit {
  readonly events: Event[] = [];
  failing: ((event: Event) => boolean) | undefined;
  #next = 0;
  #waiters: (() => void)[] = [];

  append(event: Event): void {
    if (this.failing?.(event)) throw new Error('disk full');
    this.events.push(event);
    for (const wake of this.#waiters.splice(0)) wake();
  }

  nextCorrelation(): string {
    this.#next += 1;
    return `c${this.#next}`;
  }

  actions(kind: ActionKind, phase: 'decision' | 'outcome'): ActionEvent[] {
    return this.events.filter(
      (event): event is ActionEvent => event.type === 'action' && event.action.kind === kind && event.phase === phase,
    );
  }

  findings(): string[] {
    return this.events.flatMap((event) => (event.type === 'finding' ? [event.title] : []));
  }

  /** Resolves when a record satisfies the predicate. */
  async seen(predicate: (event: Event) => boolean): Promise<Event> {
    for (;;) {
      const found = this.events.find(predicate);
      if (found) return found;
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
  }
}

interface KitOptions {
  /** For all but questions to DNS. Allows by default. */
  readonly decide?: (action: Action) => Decision;
  readonly decideDns?: () => Decision;
  /** Name to loopback port. */
  readonly hosts?: Readonly<Record<string, number>>;
  readonly services?: Readonly<Record<string, Service>>;
  readonly upstreamCa?: readonly string[];
  readonly identify?: Seams['identify'];
  readonly lookup?: Seams['lookup'];
  readonly bounds?: Bounds;
}

let sharedAuthority: Promise<CertificateAuthority> | undefined;

export class Kit {
  readonly audit = new MemoryAudit();
  readonly authority: CertificateAuthority;
  readonly engine: Engine;
  readonly #destinations = new Map<number, { address: string; port: number }>();
  readonly #dns = dgram.createSocket('udp4');

  static async start(options: KitOptions = {}): Promise<Kit> {
    sharedAuthority ??= CertificateAuthority.create('test sandbox');
    const kit = new Kit(await sharedAuthority, options);
    kit.#dns.bind(0, '127.0.0.1');
    await once(kit.#dns, 'listening');
    kit.engine.attachDns(kit.#dns);
    return kit;
  }

  private constructor(authority: CertificateAuthority, options: KitOptions) {
    this.authority = authority;
    const decide = (action: Action): Decision =>
      (action.kind === 'dns.query' ? options.decideDns?.() : options.decide?.(action)) ?? allow();
    const hosts = Object.entries(options.hosts ?? {}).map(
      ([name, port]) => [name, { address: '127.0.0.1', port }] as const,
    );
    this.engine = new Engine(
      {
        sandbox: 'test',
        initPid: process.pid,
        decide: (action) => decide(action),
        audit: this.audit,
        authority,
        hosts: new Map(hosts),
        services: new Map(Object.entries(options.services ?? {})),
        upstreamCa: options.upstreamCa ?? [],
      },
      {
        tuple: (socket) => {
          const destination = this.#destinations.get(socket.localPort ?? 0);
          return (
            destination && {
              localAddress: '10.0.0.1',
              localPort: socket.remotePort ?? 0,
              remoteAddress: destination.address,
              remotePort: destination.port,
            }
          );
        },
        identify: options.identify ?? (async () => [CURL]),
        lookup: options.lookup ?? (async () => []),
      },
      options.bounds,
    );
  }

  /** Asks the plane's DNS over UDP. */
  async ask(name: string, type: RecordType = 'A'): Promise<packet.DecodedPacket> {
    const client = dgram.createSocket('udp4');
    try {
      const answer = once(client, 'message');
      const query = packet.encode({
        type: 'query',
        id: 7,
        flags: packet.RECURSION_DESIRED,
        questions: [{ type, name }],
      });
      client.send(query, this.#dns.address().port, '127.0.0.1');
      const [message] = await answer;
      return packet.decode(message);
    } finally {
      client.close();
    }
  }

  /** A loopback port; what connects to it arrives as if it had been made to `host:port`. */
  async listen(host: string, port: number): Promise<number> {
    let address = host;
    if (net.isIP(host) === 0) {
      const [answer] = (await this.ask(host)).answers ?? [];
      if (answer?.type !== 'A') throw new Error(`no address for ${host}`);
      address = answer.data;
    }
    const server = net.createServer();
    this.engine.attachTcp(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const local = (server.address() as AddressInfo).port;
    this.#destinations.set(local, { address, port });
    return local;
  }

  async connect(host: string, port: number): Promise<net.Socket> {
    const socket = net.connect({ host: '127.0.0.1', port: await this.listen(host, port), allowHalfOpen: true });
    socket.on('error', () => {});
    return socket;
  }

  /** TLS to the plane, trusting only its authority. */
  async connectTls(host: string, port: number, options: tls.ConnectionOptions = {}): Promise<tls.TLSSocket> {
    const socket = tls.connect({
      socket: await this.connect(host, port),
      ca: this.authority.certificatePem,
      ...(net.isIP(host) ? { host } : { servername: host }),
      ...options,
    });
    await once(socket, 'secureConnect');
    return socket;
  }

  close(): Promise<void> {
    return this.engine.close();
  }
}

/** An origin that keeps every byte it receives and answers each request head with `answer`. */
export class RawOrigin {
  readonly server: net.Server;
  received = '';
  connections = 0;
  answer = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

  static async start(credentials?: { key: string; cert: string }): Promise<RawOrigin> {
    const origin = new RawOrigin(credentials);
    origin.server.listen(0, '127.0.0.1');
    await once(origin.server, 'listening');
    return origin;
  }

  private constructor(credentials?: { key: string; cert: string }) {
    const accept = (socket: net.Socket) => {
      this.connections += 1;
      let pending = '';
      socket.on('error', () => {});
      socket.on('data', (chunk) => {
        this.received += chunk.toString('latin1');
        pending += chunk.toString('latin1');
        const heads = pending.split('\r\n\r\n');
        pending = heads.pop() ?? '';
        for (const head of heads) if (/ HTTP\/1\.[01](?:\r\n|$)/.test(head)) socket.write(this.answer);
      });
    };
    this.server = credentials ? tls.createServer(credentials, accept) : net.createServer(accept);
    this.server.on('tlsClientError', () => {});
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  close(): void {
    this.server.close();
  }
}

/** Everything the other side sends until it closes (or is reset). */
export function drain(socket: net.Socket): Promise<string> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    const done = () => resolve(Buffer.concat(chunks).toString('latin1'));
    socket.once('end', () => {
      socket.end();
      done();
    });
    socket.once('close', done);
    socket.resume();
  });
}

/** Resolves when the text received so far matches; rejects when the connection ends first. */
export function until(socket: net.Socket, pattern: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const look = (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (!pattern.test(text)) return;
      socket.off('data', look);
      socket.off('close', closed);
      resolve(text);
    };
    const closed = () => reject(new Error(`closed after: ${text}`));
    socket.on('data', look);
    socket.once('close', closed);
  });
}
