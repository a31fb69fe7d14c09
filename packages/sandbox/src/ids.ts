import { LaunchError } from './error.ts';
import type { KernelFacts } from './probe.ts';
import { AGENT_ID, type SandboxSpec } from './spec.ts';
import type { Agent } from './view.ts';

/** The highest id there is: 2^32-1 stands for "none". */
const LAST_ID = 0xfffffffe;

/**
 * The id map of an idmapped mount (mount_setattr(2)): `owner` on disk and `agent` inside change places, everybody
 * else stays who they are. Lines of "on disk, inside, how many".
 */
export function idMap(owner: number, agent: number): string {
  if (owner === agent) return `0 0 ${LAST_ID + 1}`;
  const [low, high] = owner < agent ? [owner, agent] : [agent, owner];
  const extents = [
    [0, 0, low],
    [low, high, 1],
    [low + 1, low + 1, high - low - 1],
    [high, low, 1],
    [high + 1, high + 1, LAST_ID - high],
  ];
  return extents
    .filter(([, , count]) => count !== 0)
    .map((extent) => extent.join(' '))
    .join('\n');
}

function parseId(value: string | undefined, what: string): number | undefined {
  if (value === undefined || value === 'sandbox') return undefined;
  const id = Number(value);
  if (/^\d{1,10}$/.test(value) && id > 0 && id <= LAST_ID) return id;
  const fix = 'Write `sandbox`, a number above 0, or leave it out.';
  throw new LaunchError('plan', `${what}: ${JSON.stringify(value)} is no id that an agent can have`, fix);
}

/** Whom the command runs as: an ordinary user's own id, or an unprivileged one when the supervisor is root. */
export function agentFor(spec: SandboxSpec, facts: KernelFacts): Agent {
  const uid = parseId(spec.policy.process.runAsUser, 'process.run_as_user');
  const gid = parseId(spec.policy.process.runAsGroup, 'process.run_as_group');
  const privileged = facts.uid === 0;
  if (privileged) return { uid: uid ?? AGENT_ID, gid: gid ?? uid ?? AGENT_ID, privileged };
  if ((uid ?? facts.uid) !== facts.uid || (gid ?? facts.gid) !== facts.gid) {
    const what = `the policy runs the agent as ${uid ?? facts.uid}:${gid ?? facts.gid}, which takes root`;
    throw new LaunchError('plan', what, `Leave process.run_as_user out, or set it to ${facts.uid}.`);
  }
  return { uid: facts.uid, gid: facts.gid, privileged };
}
