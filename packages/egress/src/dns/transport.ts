import type { Socket as DatagramSocket, RemoteInfo } from 'node:dgram';
import type { Socket } from 'node:net';
import {
  DNS_RECEIVE_BUFFER,
  DNS_TCP_IDLE_MS,
  MAX_DNS_TCP_BYTES,
  MAX_DNS_TCP_QUESTIONS,
  MAX_DNS_UDP_BYTES,
} from '../limits.ts';
import type { Resolver } from './resolver.ts';

/** Answers questions that arrive by UDP. Longer ones than the bound are dropped, as is what cannot be sent. */
export function serveUdp(socket: DatagramSocket, resolver: Resolver): void {
  socket.on('error', () => {});
  try {
    // A burst of questions must not be lost: a resolver asks again only after seconds. The kernel caps this.
    socket.setRecvBufferSize(DNS_RECEIVE_BUFFER);
  } catch {
    // Not bound yet: the default has to do.
  }
  socket.on('message', (message: Buffer, from: RemoteInfo) => {
    if (message.length > MAX_DNS_UDP_BYTES) return;
    const response = resolver.respond(message);
    if (!response) return;
    try {
      socket.send(response, from.port, from.address, () => {});
    } catch {
      // Closed meanwhile: the asker is gone with the sandbox.
    }
  });
}

/** Answers questions that arrive by TCP, each behind its length in two bytes (RFC 1035 section 4.2.2). */
export function serveTcp(socket: Socket, resolver: Resolver): void {
  let pending = Buffer.alloc(0);
  let questions = 0;
  socket.setTimeout(DNS_TCP_IDLE_MS, () => socket.destroy());
  socket.on('error', () => socket.destroy());
  socket.on('end', () => socket.end());
  socket.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= 2) {
      const length = pending.readUInt16BE(0);
      if (length > MAX_DNS_TCP_BYTES || ++questions > MAX_DNS_TCP_QUESTIONS) return socket.destroy();
      if (pending.length < 2 + length) {
        questions -= 1;
        return;
      }
      const response = resolver.respond(pending.subarray(2, 2 + length));
      pending = pending.subarray(2 + length);
      if (!response) return socket.destroy();
      const head = Buffer.alloc(2);
      head.writeUInt16BE(response.length, 0);
      socket.write(Buffer.concat([head, response]));
    }
  });
  socket.resume();
}
