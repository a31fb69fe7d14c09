import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { launch, planLaunch, probeKernel } from '@nemoclaw/sandbox';
import { readPolicy } from 'openshell';
import { execute, onPath, printComparison, sideBySide } from './measure.ts';

const OPENSHELL = fileURLToPath(new URL('../packages/openshell/bin/openshell', import.meta.url));
const TRUE = '/bin/true';

/** bubblewrap with the same walls as far as it has them: every namespace, a root of listed paths, no capabilities. */
const BWRAP = [
  ...['--unshare-all', '--die-with-parent', '--new-session', '--cap-drop', 'ALL'],
  ...['--ro-bind', '/usr', '/usr', '--symlink', 'usr/bin', '/bin', '--symlink', 'usr/lib', '/lib'],
  ...['--symlink', 'usr/lib64', '/lib64', '--proc', '/proc', '--dev', '/dev', '--tmpfs', '/tmp', TRUE],
];

function skip(name: string, why: string): void {
  process.stdout.write(`  skipped: ${name} (${why})\n`);
}

/** Adds a peer that is on PATH and works here; says so when not. */
async function addPeer(
  contenders: Map<string, () => Promise<void>>,
  program: string,
  args: readonly string[],
): Promise<void> {
  const path = onPath(program);
  if (path === undefined) return skip(program, 'not installed');
  const work = (): Promise<void> => execute(path, args);
  try {
    await work();
    contenders.set(`${program}`, work);
  } catch (error) {
    skip(program, `does not run here: ${(error as Error).message.split('\n')[0]}`);
  }
}

/** Time from spawn to exit of /bin/true, all started by this Node process, in turn. */
export async function benchLaunch(): Promise<void> {
  const workdir = mkdtempSync(join(tmpdir(), 'nemoclaw-bench-'));
  try {
    const facts = await probeKernel();
    const plan = planLaunch(
      {
        name: 'bench',
        policy: readPolicy(),
        workdir: { source: workdir, target: workdir },
        mounts: [],
        files: [],
        hostname: 'bench',
        command: [TRUE],
        cwd: workdir,
        env: {},
      },
      facts,
    );
    const ours = async (): Promise<void> => {
      const sandbox = await launch(plan);
      sandbox.release();
      const { code } = await sandbox.exited;
      if (code !== 0) throw new Error(`openshell-init ended with ${code}`);
    };
    process.stdout.write('\n');
    const fast = new Map<string, () => Promise<void>>([
      ['plain spawn', () => execute(TRUE, [])],
      ['openshell-init (every wall, recorded)', ours],
    ]);
    await addPeer(fast, 'bwrap', BWRAP);
    await addPeer(fast, 'firejail', [
      '--quiet',
      '--noprofile',
      '--net=none',
      '--private',
      '--caps.drop=all',
      '--seccomp',
      TRUE,
    ]);
    printComparison('launch of /bin/true, from Node', 'ms', await sideBySide(fast, 100));

    const whole = new Map<string, () => Promise<void>>([['node -e 0', () => execute(process.execPath, ['-e', '0'])]]);
    // The log must not lie in what the sandbox is given.
    const logs = mkdtempSync(join(tmpdir(), 'nemoclaw-bench-log-'));
    let round = 0;
    whole.set('openshell run -- true', () =>
      execute(OPENSHELL, ['run', '--audit-dir', join(logs, String(round++)), '--workdir', workdir, '--', TRUE]),
    );
    await addPeer(whole, 'runsc', ['--network=none', '--ignore-cgroups', 'do', TRUE]);
    await addPeer(whole, 'srt', [TRUE]);
    printComparison('whole command line, cold process', 'ms', await sideBySide(whole, 15));
    rmSync(logs, { recursive: true, force: true });
  } finally {
    rmSync(workdir, { recursive: true, force: true });
  }
}
