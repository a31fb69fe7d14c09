import type { Socket } from 'node:net';
import { PEEK_BYTES } from './limits.ts';

/** What the first bytes of a connection look like. */
type Speech = 'tls' | 'http' | 'other' | 'silence';

/**
 * Waits for the client's first bytes, looks, and puts them back. The socket must be paused and stays so.
 * `silence`: nothing came in `ms`, or the client is gone.
 */
export function peek(socket: Socket, ms: number): Promise<Speech> {
  return new Promise((resolve) => {
    const finish = (speech: Speech) => {
      clearTimeout(timer);
      socket.off('readable', look);
      socket.off('end', silent);
      socket.off('close', silent);
      resolve(speech);
    };
    const silent = () => finish('silence');
    const look = () => {
      const chunk: Buffer | null = socket.read();
      if (chunk === null) return;
      socket.unshift(chunk);
      finish(classifySpeech(chunk.subarray(0, PEEK_BYTES)));
    };
    const timer = setTimeout(silent, ms);
    socket.on('readable', look);
    socket.once('end', silent);
    socket.once('close', silent);
  });
}

/** Tells TLS (RFC 8446 section 5.1: a handshake record) and HTTP/1 (a method, a space) from everything else. */
function classifySpeech(bytes: Buffer): Speech {
  if (bytes.length === 0) return 'silence';
  if (bytes[0] === 0x16) return bytes.length === 1 || bytes[1] === 0x03 ? 'tls' : 'other';
  return /^(?:\r?\n)*[A-Z][A-Z-]{0,31}(?: |$)/.test(bytes.toString('latin1')) ? 'http' : 'other';
}
