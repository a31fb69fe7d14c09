import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { rootCertificates } from 'node:tls';
import { UsageError } from './home.ts';

/** Where distributions keep their certificate bundle (Debian, Fedora, openSUSE, Alpine). */
const BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

/** Where the sandbox finds its bundle. */
export const BUNDLE_INSIDE = '/etc/ssl/certs/ca-certificates.crt';

/** The certificates that programs of this machine trust, PEM. Node's own list where the system has none. */
export function systemBundle(): string {
  for (const file of BUNDLES) {
    try {
      return readFileSync(file, 'utf8');
    } catch {
      // The next place; which one exists depends on the distribution.
    }
  }
  return rootCertificates.join('\n');
}

/** Reads the PEM certificates of `--upstream-ca FILE`: authorities that the supervisor trusts besides the system's. */
export function readCertificates(file: string): string[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(`--upstream-ca ${file}: ${(error as Error).message}`);
  }
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw new UsageError(`--upstream-ca ${file}: no PEM certificate in it`);
  for (const block of blocks) {
    try {
      new X509Certificate(block);
    } catch {
      throw new UsageError(`--upstream-ca ${file}: a certificate in it cannot be read`);
    }
  }
  return blocks;
}
