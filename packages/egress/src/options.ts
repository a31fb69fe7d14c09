import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AuditSink } from '@nemoclaw/audit';
import type { Action, Decision, ProcessRef } from '@nemoclaw/policy';
import type { CertificateAuthority } from './tls/authority.ts';

/** A name that the supervisor serves itself, over http and https and on any port (`inference.local`). */
export interface Service {
  handle(
    request: IncomingMessage,
    response: ServerResponse,
    context: {
      /** Every process holding the connection. */
      readonly processes: readonly ProcessRef[];
      /** Correlation of the connection's own record: the `parent` of what happens on it. */
      readonly connection: string;
    },
  ): void;
}

export interface EgressOptions {
  readonly sandbox: string;
  /** Root of the process tree inside, as the host numbers it. */
  readonly initPid: number;
  decide(action: Action): Decision;
  readonly audit: AuditSink;
  /** Signs the certificates that programs inside are shown. */
  readonly authority: CertificateAuthority;
  /** The operator's word (`--add-host`): where a name (lower case) leads. Exempt from the address checks. */
  readonly hosts: ReadonlyMap<string, { readonly address: string; readonly port?: number }>;
  /** Names (lower case) served by the supervisor itself. No policy applies to them. */
  readonly services: ReadonlyMap<string, Service>;
  /** PEM certificates trusted upstream besides the system's. */
  readonly upstreamCa: readonly string[];
}
