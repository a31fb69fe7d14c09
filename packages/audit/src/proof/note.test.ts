import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { AuditError } from '../error.ts';
import { decodeBase64, noteIsSigned, parseVerifier, signNote, verifierOf } from './note.ts';

/** The example of golang.org/x/mod/sumdb/note, which the format comes from. */
const PETER = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
const TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const SIGNATURE =
  '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=';

test('a note signed by another implementation verifies', () => {
  const peter = parseVerifier(PETER);
  assert.equal(peter.text, PETER);
  assert.equal(noteIsSigned(TEXT, [SIGNATURE], peter), true);
  assert.equal(noteIsSigned(TEXT.replace('answer', 'Answer'), [SIGNATURE], peter), false);
  assert.equal(noteIsSigned(TEXT, [], peter), false);
});

test('our own notes verify, beside signatures of strangers, under our key only', () => {
  const { privateKey } = generateKeyPairSync('ed25519');
  const verifier = verifierOf('nemoclaw.audit/demo', privateKey);
  const note = signNote('a\nb\n', verifier, privateKey);
  const [text = '', ...lines] = note.split('\n\n');
  const signatures = lines.join('').trimEnd().split('\n');
  assert.equal(note.endsWith('\n'), true);
  assert.equal(noteIsSigned(`${text}\n`, [...signatures, SIGNATURE], parseVerifier(verifier.text)), true);
  assert.equal(noteIsSigned(`${text}\n`, signatures, parseVerifier(PETER)), false);
  assert.equal(noteIsSigned(`${text}\n`, [...signatures, '— not a signature'], verifier), false);
});

test('base64 has one spelling', () => {
  assert.deepEqual(decodeBase64('AA=='), Buffer.of(0));
  for (const text of ['AB==', 'AA', 'AA= =', 'A A==', 'AA==\n', '-_==']) assert.equal(decodeBase64(text), undefined);
});

test('malformed verifier keys are refused', () => {
  const bad = [
    '',
    'name',
    PETER.replace('c74f20a3', 'c74f20a4'),
    PETER.replace('PeterNeumann', 'PeterNeuman'),
    PETER.replace('ARpc', 'AhpC'),
    `${PETER}\n`,
    `${PETER}x`,
    'a+00000000+AQ==',
  ];
  for (const text of bad) assert.throws(() => parseVerifier(text), AuditError, text);
  const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey;
  assert.throws(() => verifierOf('x', rsa), /Ed25519/);
});
