import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { AuditError } from './error.ts';
import { loadSigningKey } from './key.ts';
import { scratch } from './test-support.ts';

test('the key is made once, private, and stays', (t) => {
  const directory = join(scratch(t), 'keys', 'audit');
  const file = join(directory, 'signing.pem');
  const first = loadSigningKey(file);
  const second = loadSigningKey(file);
  assert.equal(first.asymmetricKeyType, 'ed25519');
  assert.equal(first.equals(second), true);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal(statSync(directory).mode & 0o777, 0o700);
  assert.deepEqual(readdirSync(directory), ['signing.pem']);
  assert.match(readFileSync(file, 'utf8'), /^-----BEGIN PRIVATE KEY-----\n/);
});

test('a key that others can read is refused, and so is a link', (t) => {
  const directory = scratch(t);
  const file = join(directory, 'signing.pem');
  loadSigningKey(file);
  for (const mode of [0o640, 0o604, 0o620]) {
    chmodSync(file, mode);
    assert.throws(() => loadSigningKey(file), { name: 'AuditError', code: 'unsafe' });
  }
  chmodSync(file, 0o600);
  const link = join(directory, 'link.pem');
  symlinkSync(file, link);
  assert.throws(() => loadSigningKey(link), { name: 'AuditError', code: 'unsafe' });
});

test('a directory that others can enter is refused', (t) => {
  const directory = scratch(t);
  loadSigningKey(join(directory, 'signing.pem'));
  chmodSync(directory, 0o755);
  assert.throws(() => loadSigningKey(join(directory, 'signing.pem')), /chmod 700/);
});

test('what is not an Ed25519 key is refused without quoting it', (t) => {
  const file = join(scratch(t), 'signing.pem');
  writeFileSync(file, 'hunter2', { mode: 0o600 });
  assert.throws(
    () => loadSigningKey(file),
    (error) => error instanceof AuditError && error.code === 'invalid' && !error.message.includes('hunter2'),
  );
  const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey;
  writeFileSync(file, rsa.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  assert.throws(() => loadSigningKey(file), /rsa/);
});
