import type { ServerResponse } from 'node:http';
import type { Decision, ProcessRef } from '@nemoclaw/policy';

/** What an agent is told of a denial: the body of the 403, JSON. */
export interface Denial {
  /** `policy_denied`, or what else went wrong: `bad_request`, `upstream_unreachable`, `upstream_certificate`. */
  readonly error: string;
  readonly reason: string;
  /** Kind of the refused action. */
  readonly action: string;
  readonly host: string;
  readonly port: number;
  readonly method?: string | undefined;
  /** Without the query, which is never repeated. */
  readonly path?: string | undefined;
  /** Executables of the processes holding the connection. */
  readonly binary?: string | undefined;
  /** Id of the rule that decided. */
  readonly rule?: string | undefined;
  /** Policy text that would allow it. */
  readonly allow_with?: string | undefined;
}

/** The denial that a decision amounts to. */
export function denialOf(
  decision: Decision,
  what: Pick<Denial, 'action' | 'host' | 'port' | 'method' | 'path'>,
  processes: readonly ProcessRef[],
): Denial {
  return {
    error: 'policy_denied',
    reason: decision.reason,
    ...what,
    binary: binaries(processes),
    rule: decision.rule.id,
    allow_with: decision.allowWith,
  };
}

export function binaries(processes: readonly ProcessRef[]): string | undefined {
  const names = [...new Set(processes.map(({ executable }) => executable ?? '(unnamed)'))];
  return names.length > 0 ? names.join(', ') : undefined;
}

function encode(denial: Denial): Buffer {
  const { error, reason, action, host, port, method, path, binary, rule, allow_with } = denial;
  return Buffer.from(
    `${JSON.stringify({ error, reason, action, host, port, method, path, binary, rule, allow_with })}\n`,
  );
}

/** Answers a request with a denial. Does nothing when an answer has begun. */
export function sendDenial(response: ServerResponse, status: number, denial: Denial, close: boolean): void {
  if (response.headersSent || response.destroyed) return;
  const body = encode(denial);
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': body.length,
    'cache-control': 'no-store',
    ...(close ? { connection: 'close' } : {}),
  });
  response.end(body);
}

const STATUS_TEXT: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  403: 'Forbidden',
  408: 'Request Timeout',
  431: 'Request Header Fields Too Large',
};

/** The same as raw bytes, for a socket whose request could not be parsed. */
export function rawDenial(status: number, denial: Denial): Buffer {
  const body = encode(denial);
  const head = `HTTP/1.1 ${status} ${STATUS_TEXT[status] ?? 'Denied'}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), body]);
}
