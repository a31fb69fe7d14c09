import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { linkSync, lstatSync, unlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { AuditError, messageOf } from './error.ts';
import { codeOf, createPrivate, privateDirectory, readPrivate, syncDirectory } from './files.ts';
import { KEY_FILE_BYTES } from './limits.ts';

/**
 * The Ed25519 key that signs tree heads: PKCS #8 in PEM, mode 0600, in a directory of mode 0700. Made on first use,
 * atomically: two first users end up with the same key.
 *
 * @throws AuditError when the file is readable by others, a link, not ours, or holds another kind of key.
 */
export function loadSigningKey(file: string): KeyObject {
  privateDirectory(dirname(file));
  if (lstatSync(file, { throwIfNoEntry: false }) === undefined) createKey(file);
  const pem = readPrivate(file, KEY_FILE_BYTES);
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: pem, format: 'pem' });
  } catch {
    // The parser's own message may quote the file.
    throw new AuditError('invalid', `${file} is not a private key in PEM; move it away to have a new one made`);
  } finally {
    pem.fill(0);
  }
  if (key.asymmetricKeyType !== 'ed25519')
    throw new AuditError('invalid', `${file} holds a ${key.asymmetricKeyType} key, not Ed25519; move it away`);
  return key;
}

/** Written under another name first, then linked: the key appears whole or not at all, and replaces nothing. */
function createKey(file: string): void {
  const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' });
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  createPrivate(draft, Buffer.from(pem));
  try {
    linkSync(draft, file);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST')
      throw new AuditError('unsafe', `cannot make the signing key ${file}: ${messageOf(error)}`, error);
  } finally {
    unlinkSync(draft);
  }
  syncDirectory(dirname(file));
}
