import type { Socket } from 'node:net';
import type { Subject } from '@nemoclaw/policy';
import type { Destination } from '../address/resolve.ts';
import type { Authority } from '../http/target.ts';

/** A connection that was allowed on condition that what passes through it is decided piece by piece. */
export interface InspectedConnection {
  /** What was decided on; `https` when TLS was terminated. */
  readonly authority: Authority;
  /** True when the host is an address that no name was asked for. */
  readonly literal: boolean;
  readonly subject: Subject;
  /** Correlation of the connection's record. */
  readonly correlation: string;
  /**
   * Checked addresses: the only ones to dial. Resolved once, when the first permitted request asks: what is refused
   * makes nobody ask a resolver. Rejects with AddressRefused or ResolutionFailed, each time alike.
   */
  destination(): Promise<Destination>;
}

/** Understands one protocol. One file an inspector; `connection.ts` picks it by the decision's obligation. */
export interface Inspector {
  /**
   * Takes over the client's stream (plaintext, bytes pushed back onto it). Nothing reaches the destination that was
   * not decided and recorded before. Resolves when the last outcome is recorded.
   */
  inspect(client: Socket, connection: InspectedConnection): Promise<void>;
}
