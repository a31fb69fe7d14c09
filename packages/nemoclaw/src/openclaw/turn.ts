import { dirname } from 'node:path';
import { INFERENCE_HOST } from 'openshell';

/** The sandbox that the agent lives in: its home, its log. */
export const AGENT_SANDBOX = 'openclaw';

/** Where things are inside the sandbox; `policies/openclaw.yaml` lists the same places. */
export const INSIDE = {
  openclaw: '/opt/openclaw',
  node: '/opt/node',
  config: '/etc/openclaw/openclaw.json',
  workspace: '/sandbox/workspace',
} as const;

/**
 * OpenClaw's configuration, read-only inside. The only model is ours, the key is not one, and everything that would
 * call out or act by itself is off.
 */
function configuration(): string {
  const model = {
    id: 'default',
    name: 'The model that the operator chose',
    reasoning: false,
    input: ['text'],
    cost: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 },
    contextWindow: 128_000,
    maxTokens: 8192,
  };
  return JSON.stringify(
    {
      agents: {
        defaults: { workspace: INSIDE.workspace, skipBootstrap: true, model: { primary: 'openshell/default' } },
      },
      models: {
        mode: 'replace',
        catalogRefresh: { enabled: false },
        providers: {
          openshell: {
            baseUrl: `http://${INFERENCE_HOST}/v1`,
            apiKey: 'held-by-the-supervisor',
            api: 'openai-completions',
            models: [model],
          },
        },
      },
      tools: { toolSearch: false },
      update: { checkOnStart: false },
      telemetry: { enabled: false },
      browser: { enabled: false },
      cron: { enabled: false },
      discovery: { mdns: { mode: 'off' } },
      plugins: { slots: { memory: 'none' } },
    },
    null,
    2,
  );
}

/**
 * What a one-shot turn of OpenClaw needs of the sandbox.
 * @param directory host directory of the installation
 */
export function openClawTurn(directory: string, message: string) {
  return {
    command: [
      `${INSIDE.node}/bin/node`,
      `${INSIDE.openclaw}/node_modules/openclaw/openclaw.mjs`,
      ...['agent', 'exec', '--config', INSIDE.config, '--cwd', INSIDE.workspace, '--json', '--', message],
    ],
    env: {
      PATH: `${INSIDE.node}/bin:/usr/local/bin:/usr/bin:/bin`,
      OPENCLAW_CONFIG_PATH: INSIDE.config,
      OPENCLAW_CONFIG_READONLY: '1',
      OPENCLAW_NO_AUTO_UPDATE: '1',
      OPENCLAW_OFFLINE: '1',
      OPENCLAW_NO_RESPAWN: '1',
      OPENCLAW_EXEC_SHELL_SNAPSHOT: '0',
      OPENCLAW_DISABLE_BONJOUR: '1',
      OPENCLAW_SKIP_CRON: '1',
      OPENCLAW_SKIP_CHANNELS: '1',
      // /proc is read-only inside; without this every command's output begins with a complaint.
      OPENCLAW_CHILD_OOM_SCORE_ADJ: '0',
      NODE_COMPILE_CACHE: '/sandbox/.cache/node-compile-cache',
    },
    files: [{ path: INSIDE.config, content: configuration(), mode: 0o444 }],
    mounts: [
      { source: directory, target: INSIDE.openclaw },
      { source: dirname(dirname(process.execPath)), target: INSIDE.node },
    ],
  };
}

/** What `openclaw agent exec --json` says at the end. */
export interface TurnResult {
  readonly text: string;
  readonly toolCalls: number;
}

/** Reads the envelope that OpenClaw prints; undefined when it is not one. */
export function readTurn(stdout: string): TurnResult | undefined {
  try {
    const envelope = JSON.parse(stdout.slice(stdout.indexOf('{'))) as {
      final?: string | { text?: string };
      payloads?: { text?: string }[];
      toolSummary?: { calls?: number };
    };
    const final = typeof envelope.final === 'string' ? envelope.final : envelope.final?.text;
    const text = final ?? envelope.payloads?.map((payload) => payload.text ?? '').join('\n');
    return text === undefined ? undefined : { text, toolCalls: envelope.toolSummary?.calls ?? 0 };
  } catch {
    return undefined;
  }
}
