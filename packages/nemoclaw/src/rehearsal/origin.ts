import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { CertificateAuthority } from '@nemoclaw/egress';
import { API_HOST } from './story.ts';

/** The small API server that the demo governs access to. */
export interface Origin {
  /** Loopback port on the host. */
  readonly port: number;
  /** Authority of its certificate, PEM: what the supervisor must trust upstream. */
  readonly certificatePem: string;
  /** Methods of the requests that reached it, in order: what got through. */
  readonly seen: readonly string[];
  close(): Promise<void>;
}

/** Starts the demo's API, https on loopback with a certificate of its own authority. */
export async function startOrigin(): Promise<Origin> {
  const authority = await CertificateAuthority.create('NemoClaw demo origin');
  const { key, cert } = await authority.leaf(API_HOST);
  const seen: string[] = [];
  const server = createServer({ key, cert }, (request, response) => {
    seen.push(request.method ?? '');
    request.resume();
    response.setHeader('content-type', 'application/json');
    response.end(`${JSON.stringify({ notes: ['Ship the release on Thursday.'], served_by: 'the demo origin' })}\n`);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    certificatePem: authority.certificatePem,
    seen,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
