export type AuditErrorCode =
  /** An option or argument is not usable (sandbox name, key type). */
  | 'invalid'
  /** A file or directory is not private, not ours, or not a regular file. */
  | 'unsafe'
  /** Another writer holds the log. */
  | 'locked'
  /** The log does not verify, or is not a log. */
  | 'corrupt'
  /** The record cannot be made or written: the action must not happen. */
  | 'write'
  /** The log was closed, or an earlier write failed. */
  | 'closed';

/** Everything that this package throws. The message names the next step. */
export class AuditError extends Error {
  override readonly name = 'AuditError';
  readonly code: AuditErrorCode;

  constructor(code: AuditErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** The message of anything thrown, for use inside another message. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
