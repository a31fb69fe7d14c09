import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MASK_CHARACTERS } from './limits.ts';
import { isSecretName, maskArguments, maskCommandLine, maskText } from './mask.ts';

// Put together here so that no scanner takes this file for a leak.
const X = 'x7Kq'.repeat(10);
const SHAPED = {
  openai: `sk-${X}`,
  project: `sk-proj-${X}`,
  anthropic: `sk-ant-api03-${X}`,
  github: `ghp_${X.slice(0, 36)}`,
  githubApp: `ghs_${X.slice(0, 36)}`,
  githubFine: `github_pat_${X}`,
  gitlab: `glpat-${X.slice(0, 20)}`,
  slack: `xoxb-${X}`,
  aws: `AKIA${'Q7'.repeat(8)}`,
  google: `AIza${X.slice(0, 35)}`,
  nvidia: `nvapi-${X}`,
  huggingface: `hf_${X.slice(0, 34)}`,
  npm: `npm_${X.slice(0, 36)}`,
  pypi: `pypi-${X}`,
  stripe: `sk_live_${X.slice(0, 24)}`,
  sendgrid: `SG.${X.slice(0, 22)}.${X}`,
  telegram: `123456789:${X.slice(0, 35)}`,
  jwt: `eyJ${X}.eyJ${X}.${X}`,
  pem: `-----BEGIN PRIVATE KEY-----\n${X}\n${X}\n-----END PRIVATE KEY-----`,
  pemCut: `-----BEGIN OPENSSH PRIVATE KEY-----\n${X}`,
};

/** Any code points, lone surrogates too. */
const anyText = fc.array(fc.integer({ min: 0, max: 0x10ffff })).map((codes) => String.fromCodePoint(...codes));

test('key shapes are masked wherever they stand', () => {
  for (const [name, secret] of Object.entries(SHAPED)) {
    for (const text of [secret, `a ${secret} b`, `"${secret}"`, `/path/${secret}/x`, `x=${secret}`]) {
      const masked = maskText(text);
      assert.equal(masked.includes(X.slice(0, 12)), false, `${name}: ${masked}`);
      assert.match(masked, /\[masked\]/, name);
    }
  }
});

test('secrets that their place gives away are masked, and the rest stays', () => {
  const table: [text: string, masked: string][] = [
    ['curl -H "Authorization: Bearer s3cr3t" https://a.example', 'curl -H "Authorization: [masked]" https://a.example'],
    ["curl -H 'authorization: s3cr3t' x", "curl -H 'authorization: [masked]' x"],
    ['curl -H "X-Api-Key: s3cr3t" x', 'curl -H "X-Api-Key: [masked]" x'],
    ['Cookie: sid=s3cr3t; theme=dark', 'Cookie: [masked]'],
    ['got bearer s3cr3ts3cr3t1 back', 'got bearer [masked] back'],
    ['Basic dXNlcjpwYXNzd29yZA==', 'Basic [masked]'],
    ['https://user:s3cr3t@host.example/p', 'https://[masked]@host.example/p'],
    ['postgres://app:s3cr3t@db:5432/main', 'postgres://[masked]@db:5432/main'],
    ['GET https://h.example/p?q=s3cr3t&r=1 done', 'GET https://h.example/p?[masked] done'],
    ['https://h.example/cb#access_token=s3cr3t', 'https://h.example/cb#[masked]'],
    ['mytool --password s3cr3t --verbose', 'mytool --password [masked] --verbose'],
    ['mytool --password=s3cr3t --verbose', 'mytool --password=[masked] --verbose'],
    ["mytool --password 's3cr3t and more' x", 'mytool --password [masked] x'],
    ['mytool --password -s3cr3t', 'mytool --password [masked]'],
    ['ssh://git@h.example/r?x s', 'ssh://[masked]@h.example/r?[masked] s'],
    ['https://h.example/@scope/p?', 'https://h.example/@scope/p?'],
    ['https://h.example?u=a@b', 'https://h.example?[masked]'],
    ['a --flag --api-key s3cr3t', 'a --flag --api-key [masked]'],
    ['OPENAI_API_KEY=s3cr3t node x.js', 'OPENAI_API_KEY=[masked] node x.js'],
    ['export AWS_SECRET_ACCESS_KEY="s3cr3t x" && ls', 'export AWS_SECRET_ACCESS_KEY=[masked] && ls'],
    ["TOKEN='s3'cr3t'' run", 'TOKEN=[masked] run'],
    ['note: password: s3cr3t', 'note: password: [masked]'],
    ['{"user":"me","password":"s3cr3t"}', '{"user":"me","password":[masked]'],
    ['{\\"password\\":\\"s3cr3t\\"} x', '{\\"password\\":[masked] x'],
    ['grant_type=x&client_secret=s3cr3t&scope=y', 'grant_type=x&client_secret=[masked]&scope=y'],
    ['curl -u me:s3cr3t https://h.example', 'curl -u me:[masked] https://h.example'],
    ['curl --user me:s3cr3t x', 'curl --user me:[masked] x'],
    ['docker run -u 1000:1000 image', 'docker run -u 1000:1000 image'],
    ['mysql -u root -ps3cr3t db', 'mysql -u root -p[masked] db'],
    ['sshpass -p s3cr3t ssh host', 'sshpass -p[masked] ssh host'],
    ['NODE_ENV=production npm run build --workspace a', 'NODE_ENV=production npm run build --workspace a'],
    ['task-management-board --author me max_tokens=100', 'task-management-board --author me max_tokens=100'],
  ];
  for (const [text, masked] of table) assert.equal(maskText(text), masked);
});

test('names of secrets', () => {
  for (const name of [
    'password',
    'DB_PASSWORD',
    'apiKey',
    'api_key',
    'authToken',
    '--token',
    'client_secret',
    'OPENAI_KEY',
  ])
    assert.equal(isSecretName(name), true, name);
  for (const name of ['key', 'author', 'tokens', 'passenger', 'compass', 'spin', 'path', ''])
    assert.equal(isSecretName(name), false, name);
});

test('a command line is quoted, and masked across and within its words', () => {
  assert.equal(maskCommandLine(['ls', '-l', 'a b', "it's"]), "ls -l 'a b' 'it'\\''s'");
  assert.equal(maskCommandLine(['x', '--password', "s3'cr3t y", 'z']), 'x --password [masked] z');
  assert.equal(maskCommandLine(['x', '--token=s3cr3t', 'z']), 'x --token=[masked] z');
  assert.equal(maskCommandLine(['curl', '-u', 'me:s3cr3t', 'u']), 'curl -u me:[masked] u');
  assert.equal(maskCommandLine(['sh', '-c', 'API_KEY=s3cr3t curl x']), "sh -c 'API_KEY=[masked] curl x'");
  assert.equal(
    maskCommandLine(['curl', '-H', 'Authorization: Bearer s3cr3t', 'https://h.example/?k=s3cr3t']),
    "curl -H 'Authorization: [masked]' 'https://h.example/?[masked]'",
  );
  assert.match(maskCommandLine(Array.from({ length: 1000 }, () => 'a')), /872 words left out/);
});

test('arguments are masked by key and by text, and stay JSON', () => {
  const masked = maskArguments(
    JSON.parse(`{"url":"https://u:s3cr3t@h.example/?q=s3cr3t","headers":{"Authorization":"Bearer s3cr3t"},
      "password":{"deep":"s3cr3t"},"list":[1,true,null,"--token s3cr3t"],"__proto__":{"apiKey":"s3cr3t"}}`),
  );
  assert.equal(masked.includes('s3cr3t'), false, masked);
  assert.deepEqual(JSON.parse(masked), {
    url: 'https://[masked]@h.example/?[masked]',
    headers: { Authorization: '[masked]' },
    password: '[masked]',
    list: [1, true, null, '--token [masked]'],
    ['__proto__']: { apiKey: '[masked]' },
  });
});

test('arguments beyond the limits are left out, and said to be', () => {
  let deep: unknown = 'bottom';
  for (let depth = 0; depth < 5000; depth += 1) deep = [deep];
  assert.match(maskArguments(deep), /left out/);
  const wide = maskArguments(Object.fromEntries(Array.from({ length: 100_000 }, (_, index) => [`k${index}`, index])));
  assert.match(wide, /left out/);
  assert.ok(wide.length < 60_000);
  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;
  assert.match(maskArguments(cycle), /left out/);
});

test('text beyond the limit is left out whole word by whole word', () => {
  const text = `${'a '.repeat(MASK_CHARACTERS / 2 - 5)}sk-${X}${X}`;
  const masked = maskText(text);
  assert.match(masked, /characters left out/);
  assert.equal(masked.includes('x7Kq'), false);
});

test('masking is total, idempotent in what it hides, and quick on hostile text', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      assert.equal(typeof maskText(text), 'string');
      assert.equal(
        maskText(`--password ${text.replace(/\s/g, '_')}zz`).includes('zz') && !/["'&;\\]/.test(text),
        false,
      );
    }),
    { numRuns: 300 },
  );
  for (const unit of [
    'a://',
    '--password',
    'password',
    '"',
    "'\\",
    'eyJ',
    '-----BEGIN PRIVATE KEY-----',
    'mysql ',
    'x-key',
    'a.',
    ' -u ',
    'sk-',
    'token=',
    '\\"',
  ]) {
    const text = unit.repeat(MASK_CHARACTERS).slice(0, MASK_CHARACTERS);
    const started = performance.now();
    maskText(text);
    assert.ok(performance.now() - started < 500, unit);
  }
});
