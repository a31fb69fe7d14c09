import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { ProviderError, providerNames, resolveProvider } from './providers.ts';

const KEYS = { OPENAI_API_KEY: 'sk-o', ANTHROPIC_API_KEY: 'sk-a', NVIDIA_API_KEY: 'nv-1' };

test('every named provider resolves with its own key, a default model and an overridden one', () => {
  for (const name of providerNames) {
    const provider = resolveProvider(name, KEYS);
    assert.equal(provider.name, name);
    assert.match(provider.baseUrl, /^https?:\/\/.*\/v1$/);
    assert.notEqual(provider.model, '');
    assert.equal(resolveProvider(name, KEYS, 'mine').model, 'mine');
  }
  assert.equal(resolveProvider('openai', KEYS).apiKey, 'sk-o');
  assert.equal(resolveProvider('anthropic', KEYS).apiKey, 'sk-a');
  assert.equal(resolveProvider('nvidia', KEYS).apiKey, 'nv-1');
  assert.equal(resolveProvider('ollama', KEYS).apiKey, undefined);
  assert.equal(resolveProvider('openai', { ...KEYS, OPENSHELL_MODEL: 'env' }).model, 'env');
});

test('a missing key is named, with how to set it', () => {
  assert.throws(() => resolveProvider('nvidia', {}), /export NVIDIA_API_KEY=/);
  assert.throws(() => resolveProvider('openai', { OPENAI_API_KEY: '  ' }), ProviderError);
});

test('an unknown name is told which exist, also for names that objects have', () => {
  assert.throws(() => resolveProvider('opnai', KEYS), /openai, anthropic, nvidia, ollama/);
  assert.throws(() => resolveProvider('toString', KEYS), /There is no provider/);
});

test('a key that would break out of its header is refused', () => {
  assert.throws(
    () => resolveProvider('openai', { OPENAI_API_KEY: 'a\r\nx: y' }),
    (error: Error) => {
      assert.ok(error instanceof ProviderError);
      assert.ok(!error.message.includes('x: y'));
      return true;
    },
  );
});

test('the key shows nowhere', () => {
  const provider = resolveProvider('openai', KEYS);
  const shown = [
    JSON.stringify(provider),
    inspect(provider, { depth: 9, showHidden: true }),
    String(provider),
    Object.values(provider).join(),
  ];
  for (const text of [...shown, JSON.stringify({ ...provider })]) assert.ok(!text.includes('sk-o'), text);
});

test('base URLs', () => {
  const resolve = (url: string, env: NodeJS.ProcessEnv = {}) => resolveProvider(url, env, 'm');
  assert.equal(resolve('https://llm.example.com/v1/').baseUrl, 'https://llm.example.com/v1');
  assert.equal(resolve('https://llm.example.com').baseUrl, 'https://llm.example.com/v1');
  assert.equal(resolve('https://llm.example.com/openai').baseUrl, 'https://llm.example.com/openai');
  for (const host of ['localhost', '127.0.0.1', '[::1]', '10.0.0.5', '172.20.1.1', '192.168.1.5', '[fd00::1]']) {
    assert.equal(resolve(`http://${host}:8000/v1`).baseUrl, `http://${host}:8000/v1`);
  }
  for (const host of [
    'example.com',
    '8.8.8.8',
    '172.32.0.1',
    '169.254.169.254',
    '[2001:db8::1]',
    '0.0.0.0',
    '127.0.0.1.evil.test',
  ]) {
    assert.throws(() => resolve(`http://${host}/v1`), /plain http/, host);
  }
  for (const url of ['https://user:pw@host/v1', 'https://host/v1?key=x', 'https://host/v1#x', 'https://']) {
    assert.throws(() => resolve(url), ProviderError, url);
  }
  assert.throws(() => resolveProvider('https://host/v1', {}), /--model NAME/);
});

test('which key a base URL gets', () => {
  const key = (url: string, env: NodeJS.ProcessEnv) => resolveProvider(url, env, 'm').apiKey;
  assert.equal(key('https://host/v1', { OPENSHELL_API_KEY: 'a', OPENAI_API_KEY: 'b' }), 'a');
  assert.equal(key('https://host/v1', { OPENAI_API_KEY: 'b' }), 'b');
  assert.equal(key('http://127.0.0.1:1/v1', { OPENAI_API_KEY: 'b' }), 'b');
  assert.equal(key('http://192.168.1.5/v1', { OPENAI_API_KEY: 'b' }), undefined);
  assert.equal(key('http://192.168.1.5/v1', { OPENSHELL_API_KEY: 'a' }), 'a');
  assert.equal(key('https://host/v1', {}), undefined);
});

test('OLLAMA_HOST in the forms that Ollama takes', () => {
  const url = (host: string) => resolveProvider('ollama', { OLLAMA_HOST: host }).baseUrl;
  assert.equal(url('127.0.0.1'), 'http://127.0.0.1:11434/v1');
  assert.equal(url('0.0.0.0'), 'http://127.0.0.1:11434/v1');
  assert.equal(url(':8080'), 'http://127.0.0.1:8080/v1');
  assert.equal(url('192.168.1.9:1234'), 'http://192.168.1.9:1234/v1');
  assert.equal(url('https://ollama.example.com'), 'https://ollama.example.com/v1');
  assert.throws(() => url('http://ollama.example.com'), /OLLAMA_HOST uses plain http/);
});
