import { isIPv4, isIPv6 } from 'node:net';
import { inspect } from 'node:util';

/** Where a sandbox's prompts go. `apiKey` is not enumerable and is masked wherever the object is printed. */
export interface Provider {
  readonly name: string;
  /** Ends in `/v1` or the like, without a trailing slash. */
  readonly baseUrl: string;
  readonly apiKey?: string | undefined;
  /** The model that serves every request, whatever the agent asks for. */
  readonly model: string;
  /** True for a scripted stand-in: it must be named as such wherever it is shown. */
  readonly scripted?: boolean | undefined;
  /** Environment variable the key came from, for messages. */
  readonly keyVariable?: string | undefined;
}

/** The provider cannot be used as configured. The message names what is missing and how to set it. */
export class ProviderError extends Error {
  override readonly name = 'ProviderError';
}

interface Preset {
  readonly baseUrl: string;
  readonly keyVariable?: string;
  readonly model: string;
}

const PRESETS: Readonly<Record<string, Preset>> = {
  openai: { baseUrl: 'https://api.openai.com/v1', keyVariable: 'OPENAI_API_KEY', model: 'gpt-5.5' },
  // Anthropic's OpenAI-compatible endpoint: same path, the key as a bearer token.
  anthropic: { baseUrl: 'https://api.anthropic.com/v1', keyVariable: 'ANTHROPIC_API_KEY', model: 'claude-sonnet-5' },
  nvidia: {
    baseUrl: 'https://integrate.api.nvidia.com/v1',
    keyVariable: 'NVIDIA_API_KEY',
    model: 'nvidia/nemotron-3-super-120b-a12b',
  },
  ollama: { baseUrl: 'http://127.0.0.1:11434/v1', model: 'gemma4' },
};

/** Names that {@link resolveProvider} knows besides base URLs. */
export const providerNames: readonly string[] = Object.keys(PRESETS);

/** A provider whose key stays out of JSON, spreads and `console.log`. */
export function createProvider(fields: Provider): Provider {
  return new KeptProvider(fields);
}

class KeptProvider implements Provider {
  readonly name: string;
  readonly baseUrl: string;
  readonly model: string;
  readonly scripted?: boolean | undefined;
  readonly keyVariable?: string | undefined;
  readonly #apiKey: string | undefined;

  constructor(fields: Provider) {
    this.name = fields.name;
    this.baseUrl = fields.baseUrl;
    this.model = fields.model;
    if (fields.scripted !== undefined) this.scripted = fields.scripted;
    if (fields.keyVariable !== undefined) this.keyVariable = fields.keyVariable;
    this.#apiKey = fields.apiKey;
  }

  get apiKey(): string | undefined {
    return this.#apiKey;
  }

  toJSON(): Record<string, unknown> {
    const { name, baseUrl, model, scripted, keyVariable } = this;
    const apiKey = this.#apiKey === undefined ? undefined : '***';
    return { name, baseUrl, model, scripted, keyVariable, apiKey };
  }

  [inspect.custom](): unknown {
    return this.toJSON();
  }
}

/**
 * The provider for a name of {@link providerNames} or an `http(s)://` base URL.
 *
 * The model is `model`, else `OPENSHELL_MODEL`, else the preset's; a base URL has no default model. Plain http is
 * accepted only towards `localhost` and loopback or private addresses written as addresses: a name could resolve to
 * anywhere. A base URL gets `OPENSHELL_API_KEY`, else `OPENAI_API_KEY` (only over https or to this machine), else no key.
 *
 * @throws ProviderError
 */
export function resolveProvider(nameOrBaseUrl: string, env: NodeJS.ProcessEnv, model?: string): Provider {
  const wanted = model || env.OPENSHELL_MODEL || undefined;
  const preset = Object.hasOwn(PRESETS, nameOrBaseUrl) ? PRESETS[nameOrBaseUrl] : undefined;
  if (preset !== undefined) return fromPreset(nameOrBaseUrl, preset, env, wanted);
  if (!/^https?:\/\//i.test(nameOrBaseUrl)) {
    throw new ProviderError(
      `There is no provider ${inspect(nameOrBaseUrl)}. Use one of ${providerNames.join(', ')}, or the base URL of an OpenAI-compatible server (https://host/v1).`,
    );
  }
  return fromUrl(nameOrBaseUrl, env, wanted);
}

function fromPreset(name: string, preset: Preset, env: NodeJS.ProcessEnv, model: string | undefined): Provider {
  const baseUrl =
    name === 'ollama' && env.OLLAMA_HOST ? checkedUrl(ollamaUrl(env.OLLAMA_HOST), 'OLLAMA_HOST') : preset.baseUrl;
  const apiKey = preset.keyVariable === undefined ? undefined : readKey(preset.keyVariable, env);
  if (preset.keyVariable !== undefined && apiKey === undefined) {
    throw new ProviderError(
      `The provider ${name} needs an API key: set it outside the sandbox with  export ${preset.keyVariable}=...  and start again. The agent never sees it.`,
    );
  }
  return createProvider({ name, baseUrl, apiKey, model: model ?? preset.model, keyVariable: preset.keyVariable });
}

function fromUrl(text: string, env: NodeJS.ProcessEnv, model: string | undefined): Provider {
  const baseUrl = checkedUrl(text, 'The base URL');
  const url = new URL(baseUrl);
  if (model === undefined) {
    throw new ProviderError(
      `A provider given as a base URL has no default model: name one with  --model NAME  or  export OPENSHELL_MODEL=NAME  (${baseUrl}/models lists them).`,
    );
  }
  const mayUseOpenAiKey = url.protocol === 'https:' || isLoopback(bareHost(url));
  const keyVariable = ['OPENSHELL_API_KEY', ...(mayUseOpenAiKey ? ['OPENAI_API_KEY'] : [])].find((name) => env[name]);
  const apiKey = keyVariable === undefined ? undefined : readKey(keyVariable, env);
  return createProvider({ name: url.host, baseUrl, apiKey, model, keyVariable });
}

/** A key with a line break or other control character would end up as a header of its own. */
function readKey(variable: string, env: NodeJS.ProcessEnv): string | undefined {
  const key = env[variable]?.trim();
  if (!key) return undefined;
  if (!/^[\x21-\x7e]+$/.test(key)) {
    throw new ProviderError(`${variable} holds characters that no API key has (spaces or line breaks). Set it again.`);
  }
  return key;
}

/** `OLLAMA_HOST` is a URL, `host`, `host:port` or `:port`; Ollama's own default port is 11434. */
function ollamaUrl(host: string): string {
  if (/^https?:\/\//i.test(host)) return host;
  const withHost = host.startsWith(':') ? `127.0.0.1${host}` : host;
  const withPort = /(^[^:]+|\]):\d+$/.test(withHost) ? withHost : `${withHost}:11434`;
  return `http://${withPort.replace(/^0\.0\.0\.0(?=:)/, '127.0.0.1')}`;
}

function checkedUrl(text: string, what: string): string {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new ProviderError(`${what} is not a URL. Write it like https://host/v1.`);
  }
  if (url.username || url.password || url.search || url.hash) {
    throw new ProviderError(
      `${what} may not hold a user, password, query or fragment. Put the key into OPENSHELL_API_KEY instead.`,
    );
  }
  if (url.protocol === 'http:' && !isLoopback(bareHost(url)) && !isPrivate(bareHost(url))) {
    throw new ProviderError(
      `${what} uses plain http towards ${url.hostname}: prompts and the key would be readable on the way. Use https, or the server's loopback or private address (such as http://192.168.1.5:8000/v1).`,
    );
  }
  const path = url.pathname.replace(/\/+$/, '');
  return `${url.origin}${path === '' ? '/v1' : path}`;
}

function bareHost(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '');
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

function isPrivate(host: string): boolean {
  if (isIPv6(host)) return /^f[cd]/i.test(host);
  return isIPv4(host) && /^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.)/.test(host);
}
