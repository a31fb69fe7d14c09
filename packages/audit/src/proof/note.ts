import { createPublicKey, hash, type KeyObject, sign, verify } from 'node:crypto';
import { AuditError } from '../error.ts';

/** Signature type byte of Ed25519 in signed notes (c2sp.org/signed-note). */
const ED25519 = 0x01;
const SIGNATURE_BYTES = 64;
const PUBLIC_KEY_BYTES = 32;
/** DER of a SubjectPublicKeyInfo for Ed25519, up to the key itself (RFC 8410). */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

/** A key that checks signed notes: C2SP's verifier key, parsed. */
export interface Verifier {
  /** Key name: for a log, its origin. */
  readonly name: string;
  /** First four bytes of the key's hash, as eight hex digits. */
  readonly id: string;
  readonly publicKey: KeyObject;
  /** `name+id+base64(type || key)`, one line. */
  readonly text: string;
}

/** Strict base64: one spelling only, so that no bit of a signature line can change unnoticed. */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}

function verifierFromBytes(name: string, key: Uint8Array): Verifier {
  const typed = Buffer.concat([Buffer.of(ED25519), key]);
  const id = hash('sha256', Buffer.concat([Buffer.from(`${name}\n`), typed]), 'hex').slice(0, 8);
  const publicKey = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, key]), format: 'der', type: 'spki' });
  return { name, id, publicKey, text: `${name}+${id}+${typed.toString('base64')}` };
}

/**
 * The verifier key that belongs to an Ed25519 key (private or public).
 *
 * @throws AuditError `invalid` when it is of another type.
 */
export function verifierOf(name: string, key: KeyObject): Verifier {
  if (key.asymmetricKeyType !== 'ed25519')
    throw new AuditError('invalid', 'the audit log needs an Ed25519 key; make one with loadSigningKey()');
  const spki = (key.type === 'private' ? createPublicKey(key) : key).export({ format: 'der', type: 'spki' });
  return verifierFromBytes(name, spki.subarray(SPKI_PREFIX.length));
}

/**
 * Parses the text form of a verifier key (c2sp.org/signed-note): `name+8 hex digits+base64`.
 *
 * @throws AuditError `invalid` when it is malformed, not Ed25519, or its id does not belong to its key.
 */
export function parseVerifier(text: string): Verifier {
  const malformed = () =>
    new AuditError('invalid', 'not a verifier key: expected one line "name+hash+base64", as in the log\'s key.pub');
  const match = /^([^\s+]{1,256})\+([0-9a-f]{8})\+([A-Za-z0-9+/=]{1,128})$/.exec(text);
  if (match === null) throw malformed();
  const [, name = '', id = '', encoded = ''] = match;
  const typed = decodeBase64(encoded);
  if (typed === undefined || typed.length !== 1 + PUBLIC_KEY_BYTES || typed[0] !== ED25519) throw malformed();
  const verifier = verifierFromBytes(name, typed.subarray(1));
  if (verifier.id !== id) throw malformed();
  return verifier;
}

/** Signs a text (which ends in a newline) as a note with one signature line. */
export function signNote(text: string, verifier: Verifier, privateKey: KeyObject): string {
  const signature = sign(null, Buffer.from(text), privateKey);
  const blob = Buffer.concat([Buffer.from(verifier.id, 'hex'), signature]).toString('base64');
  return `${text}\n— ${verifier.name} ${blob}\n`;
}

/**
 * True when one of a note's signature lines (without newline) is this key's and is right. Lines of other keys are
 * ignored, as the format demands; a wrong signature under this key's name and id spoils the note.
 */
export function noteIsSigned(text: string, signatureLines: readonly string[], verifier: Verifier): boolean {
  let signed = false;
  for (const line of signatureLines) {
    const match = /^— ([^\s+]+) ([A-Za-z0-9+/=]+)$/.exec(line);
    const blob = match?.[2] === undefined ? undefined : decodeBase64(match[2]);
    if (match === null || blob === undefined || blob.length < 5) return false;
    if (match[1] !== verifier.name || blob.toString('hex', 0, 4) !== verifier.id) continue;
    const signature = blob.subarray(4);
    if (signature.length !== SIGNATURE_BYTES) return false;
    if (!verify(null, Buffer.from(text), verifier.publicKey, signature)) return false;
    signed = true;
  }
  return signed;
}
