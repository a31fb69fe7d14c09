import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Decision, HttpRequest } from '@nemoclaw/policy';
import { permits } from '@nemoclaw/policy';
import type { UpstreamTls } from '../address/dial.ts';
import { AddressRefused, ResolutionFailed } from '../address/resolve.ts';
import { binaries, type Denial, denialOf, rawDenial, sendDenial } from '../http/denial.ts';
import { drain } from '../http/drain.ts';
import type { HttpFront, RequestHandler } from '../http/front.ts';
import { checkRequest, overrideMethods } from '../http/headers.ts';
import { AmbiguousRequest, canonicalTarget, describeTarget, type Target } from '../http/target.ts';
import { IDLE_MS, MAX_PIPELINED } from '../limits.ts';
import { ownDenial, type Recorder } from '../record.ts';
import { exchange, over } from './exchange.ts';
import type { InspectedConnection, Inspector } from './inspector.ts';
import { PinnedUpstream } from './upstream.ts';

/** `protocol: rest`: HTTP/1.1, every request decided and recorded on its own before a byte of it goes on. */
export class RestInspector implements Inspector {
  readonly #recorder: Recorder;
  readonly #front: HttpFront;
  readonly #trust: UpstreamTls;

  constructor(recorder: Recorder, front: HttpFront, trust: UpstreamTls) {
    this.#recorder = recorder;
    this.#front = front;
    this.#trust = trust;
  }

  inspect(client: Socket, connection: InspectedConnection): Promise<void> {
    const handler = new RestConnection(client, connection, this.#recorder, this.#trust);
    this.#front.serve(client, handler);
    return handler.finished;
  }
}

interface Decided {
  readonly action: HttpRequest;
  readonly decision: Decision;
  readonly correlation: string;
}

class RestConnection implements RequestHandler {
  readonly finished: Promise<void>;
  readonly #client: Socket;
  readonly #connection: InspectedConnection;
  readonly #recorder: Recorder;
  readonly #upstream: PinnedUpstream;
  /** Requests sent ahead wait here: one exchange at a time, in order. */
  #turn: Promise<void> = Promise.resolve();
  #waiting = 0;

  constructor(client: Socket, connection: InspectedConnection, recorder: Recorder, trust: UpstreamTls) {
    this.#client = client;
    this.#connection = connection;
    this.#recorder = recorder;
    this.#upstream = new PinnedUpstream(connection, trust, () => {
      // The origin hung up between requests: so do we, and the client dials again as it would have without us.
      if (this.#waiting === 0) client.destroySoon();
    });
    client.setTimeout(IDLE_MS, () => client.destroy());
    this.finished = new Promise<void>((resolve) => {
      client.once('close', () => {
        this.#upstream.destroy();
        resolve();
      });
    }).then(() => this.#turn);
  }

  request(request: IncomingMessage, response: ServerResponse): void {
    if (++this.#waiting > MAX_PIPELINED) {
      this.#client.destroy();
      return;
    }
    this.#turn = this.#turn
      .then(() => this.#handle(request, response))
      .catch(() => {
        this.#client.destroy();
      })
      .finally(() => {
        this.#waiting -= 1;
      });
  }

  tunnel(request: IncomingMessage, socket: Socket): void {
    const decision = ownDenial(
      'http.connect',
      'CONNECT is not supported: connections are intercepted, no proxy is needed',
    );
    const action = this.#action(request, { path: describeTarget(request.url ?? ''), search: '', query: [] });
    this.#record(action, decision);
    socket.end(rawDenial(403, this.#denial(decision, action)));
  }

  malformed(code: string, socket: Socket): void {
    const { authority, correlation } = this.#connection;
    const timeout = code === 'ERR_HTTP_REQUEST_TIMEOUT';
    if (!timeout) {
      this.#recorder.finding(
        'Malformed HTTP request',
        'low',
        `${authority.host}:${authority.port} (${code})`,
        correlation,
      );
    }
    // In the midst of an exchange an answer of ours would be taken for a part of the origin's.
    if (this.#waiting > 0) return void socket.destroy();
    const status = timeout ? 408 : code === 'HPE_HEADER_OVERFLOW' ? 431 : 400;
    const reason = `the request could not be read as HTTP/1.1 (${code})`;
    socket.end(rawDenial(status, this.#problem('bad_request', reason)), () => socket.destroy());
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.#client.destroyed) return;
    const read = this.#read(request);
    if (read instanceof AmbiguousRequest) return this.#refuse(request, response, read);
    const actions = read.methods.map((method) => ({ ...this.#action(request, read.target), method }));
    const decided = actions.map((action) => {
      const decision = this.#recorder.decide(action);
      return { action, decision, correlation: this.#record(action, decision) };
    });
    const denied = decided.find(({ decision }) => !permits(decision));
    if (denied) return this.#deny(request, response, 403, this.#denial(denied.decision, denied.action));
    const [first] = decided;
    if (!first) return;
    const lost = await this.#connection.destination().then(
      () => undefined,
      (error: unknown) => error,
    );
    if (lost !== undefined) return this.#unlocated(request, response, first, lost);
    if (request.headers.expect !== undefined && request.httpVersion === '1.1') response.writeContinue();
    const outcome = await exchange(request, response, {
      agent: this.#upstream,
      method: first.action.method,
      target: `${read.target.path}${read.target.search}`,
      unreachable: (code, certificate) => this.#unreachable(request, response, code, certificate),
    });
    this.#recorder.outcome(first.correlation, first.action, first.decision, outcome, this.#connection.correlation);
  }

  /** The request may pass, but there is no address that it may go to. */
  #unlocated(
    request: IncomingMessage,
    response: ServerResponse,
    { action, decision, correlation }: Decided,
    error: unknown,
  ): Promise<void> {
    const outcome = { status: 'failure', detail: error instanceof Error ? error.message : 'no address' } as const;
    const parent = this.#connection.correlation;
    if (error instanceof AddressRefused) {
      const refusal = ownDenial(`address.${error.addressClass}`, error.message, error.allowWith);
      this.#recorder.outcome(correlation, action, refusal, outcome, parent);
      this.#recorder.finding('Destination is not public', 'medium', error.message, correlation);
      return this.#deny(request, response, 403, this.#denial(refusal, action), true);
    }
    if (!(error instanceof ResolutionFailed)) throw error;
    this.#recorder.outcome(correlation, action, decision, outcome, parent);
    const problem = {
      ...this.#problem('upstream_unreachable', error.message),
      method: action.method,
      path: action.path,
    };
    return this.#deny(request, response, 502, problem, true);
  }

  #read(request: IncomingMessage): { target: Target; methods: readonly string[] } | AmbiguousRequest {
    try {
      checkRequest(request, this.#connection.authority);
      const target = canonicalTarget(request.url ?? '', this.#connection.authority);
      return { target, methods: [request.method ?? '', ...overrideMethods(request)] };
    } catch (error) {
      if (error instanceof AmbiguousRequest) return error;
      throw error;
    }
  }

  #refuse(request: IncomingMessage, response: ServerResponse, problem: AmbiguousRequest): Promise<void> {
    const decision = ownDenial(problem.check, problem.message);
    const action = this.#action(request, { path: describeTarget(request.url ?? ''), search: '', query: [] });
    const correlation = this.#record(action, decision);
    if (problem.status === 421) {
      const { authority } = this.#connection;
      const message = `a request on a connection to ${authority.host}:${authority.port} was meant for another host`;
      this.#recorder.finding('Forged authority', 'medium', message, correlation);
    }
    return this.#deny(request, response, problem.status, this.#denial(decision, action), true);
  }

  #unreachable(request: IncomingMessage, response: ServerResponse, code: string, certificate: boolean): void {
    const { host, port } = this.#connection.authority;
    const denial = certificate
      ? this.#problem('upstream_certificate', `the certificate of ${host}:${port} was not accepted (${code})`)
      : this.#problem('upstream_unreachable', `${host}:${port} could not be reached (${code})`);
    void this.#deny(request, response, 502, { ...denial, method: request.method });
  }

  /** Answers without forwarding. Resolves when the answer has gone out. */
  #deny(
    request: IncomingMessage,
    response: ServerResponse,
    status: number,
    denial: Denial,
    close = false,
  ): Promise<void> {
    drain(request);
    const sent = over(response, this.#client);
    // A client that waits for 100 may or may not send its body now: only a close is unambiguous.
    sendDenial(response, status, denial, close || request.headers.expect !== undefined);
    return sent;
  }

  #record(action: HttpRequest, decision: Decision): string {
    const correlation = this.#recorder.nextCorrelation();
    this.#recorder.decision(correlation, action, decision, this.#connection.correlation);
    return correlation;
  }

  #action(request: IncomingMessage, target: Target): HttpRequest {
    const { authority, literal, subject } = this.#connection;
    const { path, query } = target;
    return { kind: 'http.request', subject, ...authority, literal, method: request.method ?? '', path, query };
  }

  #denial(decision: Decision, { kind, host, port, method, path }: HttpRequest): Denial {
    return denialOf(decision, { action: kind, host, port, method, path }, this.#connection.subject.processes ?? []);
  }

  #problem(error: string, reason: string): Denial {
    const { host, port } = this.#connection.authority;
    return {
      error,
      reason,
      action: 'http.request',
      host,
      port,
      binary: binaries(this.#connection.subject.processes ?? []),
    };
  }
}
