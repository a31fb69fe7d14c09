import type { Socket } from 'node:net';
import type { Outcome } from '@nemoclaw/audit';
import type { Decision, NetConnect, ProcessRef } from '@nemoclaw/policy';
import { permits } from '@nemoclaw/policy';
import { classifyAddress } from './address/classify.ts';
import { dial, type UpstreamTls } from './address/dial.ts';
import { AddressRefused, type Destination, ResolutionFailed, resolve } from './address/resolve.ts';
import { canonicalName } from './dns/name.ts';
import type { NamePool } from './dns/pool.ts';
import type { Resolver } from './dns/resolver.ts';
import { serveTcp } from './dns/transport.ts';
import { codeOf } from './error-code.ts';
import { binaries, type Denial, denialOf } from './http/denial.ts';
import type { HttpFront, RequestHandler } from './http/front.ts';
import { Refusal } from './http/refusal.ts';
import { ServiceHandler } from './http/serve.ts';
import type { ClientTuple } from './identity/sockets.ts';
import type { Inspector } from './inspect/inspector.ts';
import { DENIAL_MS, HEADERS_MS, IDLE_MS, PEEK_MS } from './limits.ts';
import type { EgressOptions } from './options.ts';
import { peek } from './peek.ts';
import { ownDenial, type Recorder } from './record.ts';
import { relay } from './relay.ts';
import type { Seams } from './seams.ts';
import { terminate } from './tls/terminate.ts';

/** What every connection of a plane shares. */
export interface Shared {
  readonly options: EgressOptions;
  readonly seams: Seams;
  readonly recorder: Recorder;
  readonly pool: NamePool;
  readonly resolver: Resolver;
  readonly front: HttpFront;
  readonly trust: UpstreamTls;
  readonly inspectors: Readonly<Record<'rest', Inspector>>;
}

/** A connection's record: what it asked for, what was said of it, how it is going. */
interface Ticket {
  readonly action: NetConnect;
  decision: Decision;
  readonly correlation: string;
  readonly processes: readonly ProcessRef[];
  /** Why it failed, when it did. */
  failure?: string;
}

/**
 * One accepted connection, from its first look to its last record. The socket is paused when it comes; nothing is
 * read from it, and nothing of it goes anywhere, before a decision is recorded. Resolves when the socket is closed and
 * its outcome recorded; rejects when that could not be done, with the socket destroyed by the caller.
 */
export async function handleConnection(shared: Shared, socket: Socket): Promise<void> {
  const tuple = shared.seams.tuple(socket);
  if (!tuple || toItself(tuple)) {
    socket.destroy();
    return;
  }
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  const name = shared.pool.nameOf(tuple.remoteAddress);
  if (name === undefined && tuple.remotePort === 53) {
    serveTcp(socket, shared.resolver);
    return closed;
  }
  const started = performance.now();
  const ticket = await admit(shared, tuple, name);
  if (!permits(ticket.decision)) {
    await explain(shared, socket, 403, ticket);
    return closed;
  }
  let broken: unknown;
  try {
    const inspection = await proceed(shared, socket, ticket);
    await closed;
    await inspection;
  } catch (error) {
    broken = error;
    ticket.failure ??= 'failed inside the network plane';
    socket.destroy();
    await closed;
  }
  const { correlation, action, decision } = ticket;
  shared.recorder.outcome(correlation, action, decision, outcomeOf(socket, ticket, started));
  if (broken !== undefined) throw broken;
}

/** A connection to the sandbox's own loopback, or from an address to itself, was made to the listener directly. */
function toItself(tuple: ClientTuple): boolean {
  const destination = classifyAddress(tuple.remoteAddress);
  return destination === 'loopback' || destination === 'unspecified' || tuple.remoteAddress === tuple.localAddress;
}

/** Finds out who asks for what, decides and records. */
async function admit(shared: Shared, tuple: ClientTuple, name: string | null | undefined): Promise<Ticket> {
  const { recorder } = shared;
  let processes: readonly ProcessRef[] = [];
  let unidentified = 'it has ended, or given the connection away';
  try {
    processes = await shared.seams.identify(tuple);
  } catch (error) {
    // Not to be seen is not to be trusted.
    unidentified = error instanceof Error ? error.message : 'error';
  }
  const action: NetConnect = {
    kind: 'net.connect',
    subject: { sandbox: recorder.sandbox, processes },
    host: name ?? tuple.remoteAddress,
    literal: typeof name !== 'string',
    port: tuple.remotePort,
  };
  const decision = decideConnection(shared, action, name === null, unidentified);
  const correlation = recorder.nextCorrelation();
  recorder.decision(correlation, action, decision);
  return { action, decision, correlation, processes };
}

function decideConnection(
  { recorder, options }: Shared,
  action: NetConnect,
  unassigned: boolean,
  unidentified: string,
): Decision {
  if (unassigned) return ownDenial('pool', 'this address stands for no name; ask DNS for the name again');
  if (!action.literal && options.services.has(action.host)) {
    const rule = { id: 'egress:service', name: action.host };
    return { effect: 'allow', rule, reason: `${action.host} is served by the supervisor`, enforced: true };
  }
  if ((action.subject.processes ?? []).length === 0) {
    return ownDenial('identity', `the process that opened the connection could not be identified: ${unidentified}`);
  }
  return recorder.decide(action);
}

/** Lets an allowed connection go where it may. Returns what must still end before its outcome is known. */
async function proceed(shared: Shared, socket: Socket, ticket: Ticket): Promise<Promise<void> | undefined> {
  const { action, decision, processes, correlation } = ticket;
  const service = action.literal ? undefined : shared.options.services.get(action.host);
  if (service) {
    return serveHttp(shared, socket, ticket, (scheme) => {
      const authority = { scheme, host: action.host, port: action.port };
      return new ServiceHandler(service, authority, { processes, connection: correlation });
    });
  }
  if (decision.obligations?.inspect !== undefined) return inspect(shared, socket, ticket, decision.obligations);
  return relayed(shared, socket, ticket);
}

/** Resolves a destination and checks every address of it. Rejects with AddressRefused or ResolutionFailed. */
function find(shared: Shared, ticket: Ticket): Promise<Destination> {
  const { host, literal, port } = ticket.action;
  const allowedIps = ticket.decision.obligations?.allowedIps ?? [];
  return resolve({ host, literal, port, allowedIps, hosts: shared.options.hosts, lookup: shared.seams.lookup });
}

/** Bytes pass untouched, once there is an address that they may go to. */
async function relayed(shared: Shared, socket: Socket, ticket: Ticket): Promise<undefined> {
  const destination = await locate(shared, socket, ticket);
  return destination && pass(socket, ticket, destination);
}

/** Resolves and checks; on failure tells the client why. */
async function locate(shared: Shared, socket: Socket, ticket: Ticket): Promise<Destination | undefined> {
  try {
    return await find(shared, ticket);
  } catch (error) {
    if (error instanceof AddressRefused) {
      ticket.decision = ownDenial(`address.${error.addressClass}`, error.message, error.allowWith);
      ticket.failure = error.message;
      shared.recorder.finding('Destination is not public', 'medium', error.message, ticket.correlation);
      await explain(shared, socket, 403, ticket);
      return undefined;
    }
    if (!(error instanceof ResolutionFailed)) throw error;
    ticket.failure = error.message;
    await explain(shared, socket, 502, ticket, problem(ticket, 'upstream_unreachable', error.message));
    return undefined;
  }
}

/** No protocol to inspect: bytes pass untouched. */
async function pass(socket: Socket, ticket: Ticket, destination: Destination): Promise<undefined> {
  try {
    const upstream = await dial(destination);
    if (socket.destroyed) upstream.destroy();
    else relay(socket, upstream);
  } catch (error) {
    ticket.failure = `could not connect (${codeOf(error)})`;
    socket.resetAndDestroy();
  }
}

async function inspect(
  shared: Shared,
  socket: Socket,
  ticket: Ticket,
  obligations: NonNullable<Decision['obligations']>,
): Promise<Promise<void> | undefined> {
  const { action, correlation } = ticket;
  const speech = await peek(socket, HEADERS_MS);
  if (speech === 'silence') return hangUp(socket, ticket);
  if (speech === 'tls' && obligations.tls === 'skip') return relayed(shared, socket, ticket);
  const plain = await plaintext(shared, socket, ticket, speech === 'tls');
  if (!plain) return undefined;
  const authority = { scheme: plain.scheme, host: action.host, port: action.port };
  const { literal, subject } = action;
  let destination: Promise<Destination> | undefined;
  const connection = {
    authority,
    literal,
    subject,
    correlation,
    destination: () => {
      destination ??= find(shared, ticket);
      return destination;
    },
  };
  return shared.inspectors[obligations.inspect ?? 'rest'].inspect(plain.stream, connection);
}

/** The client has closed, or has not said a word in all the time it had. */
function hangUp(socket: Socket, ticket: Ticket): undefined {
  ticket.failure = 'the client sent nothing';
  socket.destroy();
}

interface Plaintext {
  readonly scheme: 'http' | 'https';
  readonly stream: Socket;
}

/** The client's stream without TLS, if it speaks TLS. A client that names another server than was decided is told so. */
async function plaintext(shared: Shared, socket: Socket, ticket: Ticket, tls: boolean): Promise<Plaintext | undefined> {
  const { host, port } = ticket.action;
  if (!tls) return { scheme: 'http', stream: socket };
  try {
    const { socket: stream, serverName } = await terminate(socket, host, shared.options.authority);
    if (serverName === undefined || canonicalName(serverName) === host) return { scheme: 'https', stream };
    const reason = `TLS server name ${canonicalName(serverName) ?? '(unprintable)'} on a connection to ${host}:${port}`;
    shared.recorder.finding('Forged server name', 'medium', reason, ticket.correlation);
    ticket.decision = ownDenial('tls.server_name', reason);
    ticket.failure = reason;
    refuse(shared, stream, 421, denialFor(ticket));
    return undefined;
  } catch (error) {
    ticket.failure = error instanceof Error ? error.message : 'TLS failed';
    socket.destroy();
    return undefined;
  }
}

/** Serves HTTP, or HTTPS when the first byte says so, from the supervisor itself. */
async function serveHttp(
  shared: Shared,
  socket: Socket,
  ticket: Ticket,
  handler: (scheme: 'http' | 'https') => RequestHandler,
): Promise<undefined> {
  const speech = await peek(socket, HEADERS_MS);
  if (speech === 'silence') return hangUp(socket, ticket);
  const plain = await plaintext(shared, socket, ticket, speech === 'tls');
  if (!plain) return;
  plain.stream.setTimeout(IDLE_MS, () => plain.stream.destroy());
  shared.front.serve(plain.stream, handler(plain.scheme));
}

/** Tells a client that speaks HTTP or HTTPS why it is refused; resets any other. */
async function explain(
  shared: Shared,
  socket: Socket,
  status: number,
  ticket: Ticket,
  denial = denialFor(ticket),
): Promise<void> {
  const speech = await peek(socket, PEEK_MS);
  if (speech !== 'tls' && speech !== 'http') return void socket.resetAndDestroy();
  if (speech === 'http') return refuse(shared, socket, status, denial);
  try {
    const { socket: stream } = await terminate(socket, ticket.action.host, shared.options.authority);
    refuse(shared, stream, status, denial);
  } catch {
    // It does not trust us, or has gone: then it learns nothing, and the record says it all.
    socket.destroy();
  }
}

function refuse(shared: Shared, stream: Socket, status: number, denial: Denial): void {
  const timer = setTimeout(() => stream.destroy(), DENIAL_MS);
  stream.once('close', () => clearTimeout(timer));
  shared.front.serve(stream, new Refusal(status, denial));
}

function denialFor({ decision, action, processes }: Ticket): Denial {
  return denialOf(decision, { action: action.kind, host: action.host, port: action.port }, processes);
}

function problem({ action, processes }: Ticket, error: string, reason: string): Denial {
  return { error, reason, action: action.kind, host: action.host, port: action.port, binary: binaries(processes) };
}

function outcomeOf(socket: Socket, ticket: Ticket, started: number): Outcome {
  return {
    status: ticket.failure === undefined ? 'success' : 'failure',
    bytesIn: socket.bytesWritten,
    bytesOut: socket.bytesRead,
    durationMs: Math.round(performance.now() - started),
    ...(ticket.failure === undefined ? {} : { detail: ticket.failure }),
  };
}
