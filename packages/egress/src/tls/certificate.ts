import { createHash, type KeyObject, randomBytes, sign } from 'node:crypto';
import { isIPv4, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';
import { bits, boolean, implicit, integer, octets, oid, sequence, set, time, utf8, wrapped } from './der.ts';

/** Upper bound of a common name (RFC 5280 appendix A.1, ub-common-name). */
const MAX_COMMON_NAME = 64;
const ECDSA_SHA256 = sequence(oid('1.2.840.10045.4.3.2'));

interface CertificateRequest {
  /** Common name; the subject alternative name is what verifiers go by. */
  readonly subject: string;
  readonly issuer: string;
  readonly publicKey: KeyObject;
  readonly issuerPublicKey: KeyObject;
  /** P-256. */
  readonly issuerPrivateKey: KeyObject;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** The host (name or address) of a server certificate; undefined makes a certificate authority. */
  readonly host: string | undefined;
}

/** Makes an X.509 v3 certificate (RFC 5280), signed with ECDSA and SHA-256. PEM. */
export function makeCertificate(request: CertificateRequest): string {
  const body = sequence(
    wrapped(0, integer(Buffer.from([2]))),
    integer(serial()),
    ECDSA_SHA256,
    name(request.issuer),
    sequence(time(request.notBefore), time(request.notAfter)),
    name(request.subject),
    request.publicKey.export({ type: 'spki', format: 'der' }),
    wrapped(3, sequence(...extensions(request))),
  );
  const certificate = sequence(body, ECDSA_SHA256, bits(sign('sha256', body, request.issuerPrivateKey)));
  const base64 = certificate.toString('base64').replace(/.{64}/g, '$&\n').trimEnd();
  return `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`;
}

function name(common: string): Buffer {
  return sequence(set(sequence(oid('2.5.4.3'), utf8(common.slice(0, MAX_COMMON_NAME)))));
}

/** 127 random bits, never 0. */
function serial(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes;
}

function extensions({ host, publicKey, issuerPublicKey }: CertificateRequest): Buffer[] {
  const keyId = extension('2.5.29.14', false, octets(keyIdentifier(publicKey)));
  if (host === undefined) {
    return [
      extension('2.5.29.19', true, sequence(boolean(true), integer(Buffer.from([0])))), // CA, no further CAs below
      extension('2.5.29.15', true, bits(Buffer.from([0b0000_0110]), 1)), // keyCertSign, cRLSign
      keyId,
    ];
  }
  return [
    extension('2.5.29.19', true, sequence()), // no CA
    extension('2.5.29.15', true, bits(Buffer.from([0b1000_0000]), 7)), // digitalSignature
    extension('2.5.29.37', false, sequence(oid('1.3.6.1.5.5.7.3.1'))), // serverAuth
    extension('2.5.29.17', false, sequence(alternativeName(host))),
    extension('2.5.29.35', false, sequence(implicit(0, keyIdentifier(issuerPublicKey)))),
    keyId,
  ];
}

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  return sequence(oid(id), ...(critical ? [boolean(true)] : []), octets(value));
}

function alternativeName(host: string): Buffer {
  if (isIPv4(host) || isIPv6(host)) return implicit(7, Buffer.from(ipaddr.parse(host).toByteArray()));
  return implicit(2, Buffer.from(host, 'ascii'));
}

/** SHA-256 of the key, shortened (RFC 7093 section 2, method 1). */
function keyIdentifier(key: KeyObject): Buffer {
  return createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest()
    .subarray(0, 20);
}
