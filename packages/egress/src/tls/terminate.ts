import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { canonicalName } from '../dns/name.ts';
import { HANDSHAKE_MS } from '../limits.ts';
import type { CertificateAuthority } from './authority.ts';

interface Terminated {
  readonly socket: TLSSocket;
  /** The name that the client asked for by SNI (RFC 6066 section 3), as sent; undefined when it asked for none. */
  readonly serverName: string | undefined;
}

/**
 * Speaks TLS as the server that the client meant: with a certificate for the name in its SNI, or else for `host`. Only
 * HTTP/1.1 is offered by ALPN. Rejects when the handshake fails or takes too long; the socket is destroyed then.
 */
export async function terminate(client: Socket, host: string, authority: CertificateAuthority): Promise<Terminated> {
  const secureContext = authority.contextFor(host);
  const socket = new TLSSocket(client, {
    isServer: true,
    secureContext,
    ALPNProtocols: ['http/1.1'],
    SNICallback: (serverName, done) => {
      const name = canonicalName(serverName);
      if (name === host) return done(null, secureContext);
      // Another name than was decided on. The handshake goes through so that the refusal can be read.
      if (name === undefined) return done(new Error('not a host name'));
      done(null, authority.contextFor(name));
    },
  });
  await handshake(socket);
  // `false` where the client sent none.
  const sent: unknown = Reflect.get(socket, 'servername');
  return { socket, serverName: typeof sent === 'string' && sent !== '' ? sent : undefined };
}

function handshake(socket: TLSSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    let reason = 'the client closed the connection';
    const timer = setTimeout(() => {
      reason = 'no handshake in time';
      socket.destroy();
    }, HANDSHAKE_MS);
    // Without a tls.Server, failures come by this event, before and after the handshake.
    socket.on('_tlsError', (error: Error & { code?: string }) => {
      reason = error.code ?? 'TLS error';
      socket.destroy();
    });
    socket.on('error', () => socket.destroy());
    // Half-closing before it is through, the client cannot finish.
    const ended = () => socket.destroy();
    socket.once('end', ended);
    socket.once('close', () => {
      clearTimeout(timer);
      reject(new Error(`TLS handshake with the client failed (${reason})`));
    });
    socket.once('secure', () => {
      clearTimeout(timer);
      socket.off('end', ended);
      resolve();
    });
  });
}
