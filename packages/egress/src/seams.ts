import type { Socket } from 'node:net';
import { canonicalAddress } from './address/classify.ts';
import { type Lookup, systemLookup } from './address/resolve.ts';
import { type Identify, ProcessIdentifier } from './identity/identity.ts';
import type { ClientTuple } from './identity/sockets.ts';

/** Where the plane touches the machine. Tests put their own in; the product has one set. */
export interface Seams {
  /** Both ends of an accepted connection as its client sees them. Undefined when the client is already gone. */
  readonly tuple: (socket: Socket) => ClientTuple | undefined;
  readonly identify: Identify;
  readonly lookup: Lookup;
}

/** Behind transparent interception the local end of an accepted socket is what the client meant to reach. */
export function kernelTuple(socket: Socket): ClientTuple | undefined {
  const localAddress = canonicalAddress(socket.remoteAddress ?? '');
  const remoteAddress = canonicalAddress(socket.localAddress ?? '');
  const { remotePort: localPort, localPort: remotePort } = socket;
  if (!localAddress || !remoteAddress || localPort === undefined || remotePort === undefined) return undefined;
  return { localAddress, localPort, remoteAddress, remotePort };
}

export function kernelSeams(initPid: number): Seams {
  return { tuple: kernelTuple, identify: new ProcessIdentifier(initPid).identify, lookup: systemLookup };
}
