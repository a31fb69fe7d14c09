import type { ServerResponse } from 'node:http';
import { MAX_ERROR_CHARS } from './limits.ts';
import { maskSecret } from './secret.ts';

/**
 * An error as the agent sees it, in OpenAI's shape.
 *
 * Statuses are chosen for what OpenClaw makes of them: 400 ends the turn at once, whereas it takes 403 for a broken key
 * and repeats 429 and 5xx several times. So whatever the policy or the plane refuses for good is a 400.
 */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;
  readonly type: string;
  readonly code: string;

  constructor(
    status: number,
    code: string,
    message: string,
    { type = defaultType(status), cause }: { type?: string; cause?: unknown } = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.status = status;
    this.code = code;
    this.type = type;
  }

  /** The same error as it may be sent: `secret` masked, then cut to a bounded length, without the cause. */
  forAgent(secret: string | undefined): ApiError {
    const message = maskSecret(this.message, secret).slice(0, MAX_ERROR_CHARS);
    return new ApiError(this.status, this.code, message, { type: this.type });
  }

  body(): { error: { message: string; type: string; param: null; code: string } } {
    return { error: { message: this.message, type: this.type, param: null, code: this.code } };
  }
}

function defaultType(status: number): string {
  return status < 500 ? 'invalid_request_error' : 'api_error';
}

/** The log, or the policy, could not be asked: nothing may happen. */
export function closedError(cause: unknown): ApiError {
  return new ApiError(
    500,
    'governance_failure',
    "OpenShell could not decide this or write it to the operator's audit log, so it did not happen. Do not try again: ask the operator to check the disk of the audit log and to start the sandbox anew.",
    { cause },
  );
}

export function sendError(response: ServerResponse, error: ApiError): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  sendJson(response, error.status, error.body());
}

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  const body = Buffer.from(JSON.stringify(value));
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length });
  response.end(body);
}
