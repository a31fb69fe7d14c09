import net from 'node:net';
import tls from 'node:tls';
import { DIAL_MS } from '../limits.ts';
import type { Destination } from './resolve.ts';

/** Trust towards the outside: the system's certificates (Node's own list where there are none) and the operator's. */
export class UpstreamTls {
  readonly #extra: readonly string[];
  #context: tls.SecureContext | undefined;

  /** @param extra PEM certificates trusted besides the system's. */
  constructor(extra: readonly string[]) {
    this.#extra = extra;
  }

  /** Made on first use: reading some 140 certificates takes 30 ms, which a start need not wait for. */
  get secureContext(): tls.SecureContext {
    if (!this.#context) {
      const system = tls.getCACertificates('system');
      const base = system.length > 0 ? system : tls.getCACertificates('bundled');
      this.#context = tls.createSecureContext({ ca: [...base, ...this.#extra], minVersion: 'TLSv1.2' });
    }
    return this.#context;
  }
}

/**
 * Dials one of the checked addresses, the first that answers (RFC 8305). Asks no resolver. Rejects with the socket's
 * error, or one with code `ETIMEDOUT`.
 */
export function dial(destination: Destination): Promise<net.Socket> {
  const { port } = destination;
  const [first] = destination.addresses;
  if (!first) return Promise.reject(new Error('no address to dial'));
  // Several addresses: Node's own selection among exactly these, through a lookup that only hands them over.
  const target =
    destination.addresses.length === 1
      ? { host: first.address, port, family: first.family }
      : { host: 'checked.invalid', port, autoSelectFamily: true, lookup: handOver(destination) };
  const socket = net.connect({ ...target, allowHalfOpen: true, noDelay: true, keepAlive: true });
  return settled(socket, 'connect');
}

/**
 * Dials and speaks TLS; resolves only once the peer's certificate is verified for `name`, so that nothing is sent to
 * an impostor. Rejects like {@link dial}, or with the verification's error.
 */
export async function dialTls(destination: Destination, name: string, trust: UpstreamTls): Promise<net.Socket> {
  const socket = await dial(destination);
  const secure = tls.connect({
    socket,
    host: name,
    ...(net.isIP(name) ? {} : { servername: name }),
    secureContext: trust.secureContext,
    ALPNProtocols: ['http/1.1'],
    rejectUnauthorized: true,
  });
  return settled(secure, 'secureConnect');
}

/** True for an error of certificate verification, as against one of the network. */
export function isCertificateError(code: string): boolean {
  return /CERT|SIGNATURE|ISSUER|CRL|ALTNAME|SELF_SIGNED|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE/.test(code);
}

function handOver({ addresses }: Destination): net.LookupFunction {
  return (_name, _options, done) => done(null, [...addresses]);
}

function settled<S extends net.Socket>(socket: S, event: 'connect' | 'secureConnect'): Promise<S> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      socket.destroy(Object.assign(new Error('no answer in time'), { code: 'ETIMEDOUT' }));
    }, DIAL_MS);
    const failed = (error: Error) => {
      clearTimeout(timer);
      reject(error);
    };
    const closed = () => failed(Object.assign(new Error('closed'), { code: 'ECONNRESET' }));
    socket.once('error', failed);
    socket.once('close', closed);
    socket.once(event, () => {
      clearTimeout(timer);
      socket.off('error', failed);
      socket.off('close', closed);
      resolve(socket);
    });
  });
}
