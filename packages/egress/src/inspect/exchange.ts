import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Outcome } from '@nemoclaw/audit';
import { isCertificateError } from '../address/dial.ts';
import { codeOf } from '../error-code.ts';
import { endToEnd, safeTrailers } from '../http/headers.ts';

/** Methods for which a request without a length has no body in Node's client. */
const BODILESS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE']);

interface Forward {
  readonly agent: http.Agent;
  readonly method: string;
  /** Canonical path and query: the very bytes for the request line. */
  readonly target: string;
  /** Called instead of an answer when the origin could not be reached. `certificate`: it was not who it should be. */
  readonly unreachable: (code: string, certificate: boolean) => void;
}

/**
 * Forwards one permitted request and its response, streaming both ways. Resolves, never rejects, when the response has
 * been handed over or the exchange has failed.
 */
export async function exchange(request: IncomingMessage, response: ServerResponse, forward: Forward): Promise<Outcome> {
  const started = performance.now();
  const client = request.socket;
  let bytesOut = 0;
  let bytesIn = 0;
  let status: number | undefined;
  let failure: string | undefined;

  const upstream = http.request({
    agent: forward.agent,
    method: forward.method,
    path: forward.target,
    headers: requestHeaders(request, forward.method),
  });
  upstream.on('timeout', () => upstream.destroy(Object.assign(new Error('idle'), { code: 'ETIMEDOUT' })));
  upstream.on('error', (error) => {
    const code = codeOf(error);
    failure ??= `upstream: ${code}`;
    // A kept connection that the origin closed just now: the client, had it been direct, would see a close and retry.
    if (response.headersSent || (upstream.reusedSocket && status === undefined)) client.destroySoon();
    else forward.unreachable(code, isCertificateError(code));
  });
  // Protocol switches were refused on the way in; an origin that switches anyway is not followed.
  upstream.on('upgrade', (_response, socket) => {
    socket.destroy();
    failure ??= 'upstream: unexpected protocol switch';
    forward.unreachable('unexpected protocol switch', false);
  });
  upstream.on('response', (answer) => {
    status = answer.statusCode;
    answer.on('error', () => {
      failure ??= 'upstream closed in mid-response';
      client.destroy();
    });
    const count = (length: number) => {
      bytesIn += length;
    };
    if (passBack(answer, response, count)) return;
    failure ??= 'upstream: a status or header field that cannot be passed on';
    upstream.destroy();
    forward.unreachable('unusable response', false);
  });

  passOn(request, upstream, (length) => {
    bytesOut += length;
  });
  await over(response, client);
  if (!response.writableFinished) {
    failure ??= 'the client closed the connection';
    upstream.destroy();
  }
  return {
    status: failure === undefined ? 'success' : 'failure',
    bytesIn,
    bytesOut,
    durationMs: Math.round(performance.now() - started),
    ...(status === undefined ? {} : { httpStatus: status }),
    ...(failure === undefined ? {} : { detail: failure }),
  };
}

/** Resolves when the response has gone out or never will. */
export function over(response: ServerResponse, client: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off('close', done);
      client.off('close', done);
      resolve();
    };
    response.once('close', done);
    client.once('close', done);
  });
}

function requestHeaders(request: IncomingMessage, method: string): string[] {
  const headers = endToEnd(request.rawHeaders, ['expect']);
  if (request.headers['transfer-encoding'] !== undefined) headers.push('Transfer-Encoding', 'chunked');
  // Node would announce a chunked body for want of a length; there is none.
  else if (request.headers['content-length'] === undefined && !BODILESS.has(method))
    headers.push('Content-Length', '0');
  return headers;
}

/** Streams the request's body. Ends the upstream request only at the proper end of the client's. */
function passOn(request: IncomingMessage, upstream: http.ClientRequest, count: (length: number) => void): void {
  request.on('data', (chunk: Buffer) => {
    if (upstream.destroyed) return;
    count(chunk.length);
    if (!upstream.write(chunk)) request.pause();
  });
  upstream.on('drain', () => request.resume());
  request.once('end', () => {
    const trailers = safeTrailers(request.rawTrailers);
    if (trailers.length > 0) upstream.addTrailers(trailers);
    upstream.end();
  });
  // The client broke off (or the parser did): the origin must not take half a body for a whole one.
  request.once('close', () => {
    if (!request.complete) upstream.destroy();
  });
  request.on('error', () => upstream.destroy());
}

/**
 * Streams the response as it arrives: status and end-to-end fields as they are, body, trailers. False when its head
 * cannot be passed on; nothing has been sent then.
 */
function passBack(answer: IncomingMessage, response: ServerResponse, count: (length: number) => void): boolean {
  if (response.headersSent) return false;
  response.sendDate = false;
  if (/\bclose\b/i.test(answer.headers.connection ?? '')) response.shouldKeepAlive = false;
  try {
    response.writeHead(answer.statusCode ?? 502, answer.statusMessage ?? '', endToEnd(answer.rawHeaders));
  } catch {
    return false;
  }
  // The head goes out with the first bytes of the body, or alone when they are not there yet.
  let begun = false;
  setImmediate(() => {
    if (!begun && !response.writableEnded) response.flushHeaders();
  });
  answer.on('data', (chunk: Buffer) => {
    begun = true;
    count(chunk.length);
    if (!response.write(chunk)) answer.pause();
  });
  response.on('drain', () => answer.resume());
  answer.once('end', () => {
    const trailers = safeTrailers(answer.rawTrailers);
    if (trailers.length > 0) response.addTrailers(trailers);
    response.end();
  });
  return true;
}
