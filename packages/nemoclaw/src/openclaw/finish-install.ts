import { mkdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startRehearsal } from '@nemoclaw/inference';
import { ensureDirectory, ownState, readPolicy, sandboxPaths, supervise } from 'openshell';
import { printable, readOutput } from '../output.ts';
import { AGENT_SANDBOX, INSIDE, openClawTurn, readTurn } from './turn.ts';

const POLICY = fileURLToPath(new URL('../../../../policies/openclaw-install.yaml', import.meta.url));
const SANDBOX = 'openclaw-install';
const GREETING = 'OpenClaw is ready.';

/**
 * Runs a first turn of OpenClaw with its own directory writable and no network: it then does by itself what its install
 * scripts would have done on the host, fills the compile cache in the agent's home, and shows that it works.
 * @param directory where OpenClaw has just been installed
 * @throws Error with what OpenClaw printed, when the turn fails
 */
export async function finishInstall(directory: string, home: string): Promise<void> {
  const paths = sandboxPaths(home, SANDBOX);
  const agentHome = sandboxPaths(home, AGENT_SANDBOX).home;
  const { command, env, files, mounts } = openClawTurn(directory, 'Are you ready?');
  // The workspace's mount point; here an empty directory of the agent's home.
  mkdirSync(join(ensureDirectory(agentHome), 'workspace'), { recursive: true });
  const rehearsal = await startRehearsal({ name: 'installation', steps: [], closing: GREETING });
  try {
    const { sandbox, finished } = await supervise(
      {
        name: SANDBOX,
        policy: readPolicy(POLICY),
        workdir: { source: realpathSync(directory), target: INSIDE.openclaw },
        home: agentHome,
        command,
        cwd: INSIDE.openclaw,
        env,
        files,
        mounts: mounts.filter(({ target }) => target !== INSIDE.openclaw),
        hosts: new Map(),
        upstreamCa: [],
        hidden: ownState(home),
        auditDirectory: paths.audit,
        signingKey: paths.signingKey,
        facts: [],
      },
      { provider: rehearsal.provider, stdio: ['pipe', 'pipe', 'pipe'] },
    );
    sandbox.stdin?.end();
    const [stdout, stderr, { code }] = await Promise.all([
      readOutput(sandbox.stdout),
      readOutput(sandbox.stderr),
      finished,
    ]);
    if (code !== 0 || readTurn(stdout)?.text !== GREETING)
      throw new Error(printable(`exit ${code}\n${stdout}${stderr}`.slice(-4000)));
  } finally {
    await rehearsal.close();
  }
}
