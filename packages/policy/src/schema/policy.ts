/** The whole file. Every section is optional except `version`; what is left out is not allowed. */
import { z } from 'zod';
import { limits } from '../limits.ts';
import type { Policy, PolicySource, ToolRule } from '../policy.ts';
import { filesystemSchema } from './filesystem.ts';
import { networkPoliciesSchema, toNetworkPolicy } from './network.ts';
import { glob, line, report, section, word } from './section.ts';

const LATER_SECTIONS = ['network_middlewares', 'resources', 'audit', 'extends', 'inference', 'budgets'];

const versionSchema = z.unknown().transform((value, context): 1 => {
  if (value === 1) return value;
  report(context, value === undefined ? '`version` is missing' : 'this is not a version of the policy language', {
    suggestion: 'write `version: 1`',
  });
  return z.NEVER;
});

/** `sandbox`, or a numeric id; 0 is root and 4294967295 means "unchanged" to the kernel. */
const identitySchema = z.unknown().transform((value, context): string => {
  const text = typeof value === 'number' ? String(value) : value;
  if (text === 'sandbox') return text;
  if (typeof text === 'string' && /^[1-9][0-9]{0,9}$/.test(text) && Number(text) < 0xffff_ffff) return text;
  report(context, 'this is neither `sandbox` nor a number from 1 to 4294967294', {
    suggestion: text === '0' || text === 'root' ? 'the agent never runs as root; write `sandbox`' : undefined,
  });
  return z.NEVER;
});

const effect = word(['allow', 'deny', 'ask']);

const toolsSchema = section({
  default: effect.default('deny'),
  rules: z.array(section({ tool: glob(), effect, reason: line(limits.reasonLength).optional() })).default([]),
});

export const policySchema = section(
  {
    version: versionSchema,
    filesystem_policy: filesystemSchema.prefault({}),
    landlock: section({
      compatibility: word(['hard_requirement', 'best_effort']).default('hard_requirement'),
    }).prefault({}),
    process: section({ run_as_user: identitySchema.optional(), run_as_group: identitySchema.optional() }).prefault({}),
    network_policies: networkPoliciesSchema.prefault({}),
    tools: toolsSchema.optional(),
  },
  LATER_SECTIONS,
);

/** The typed policy of a file that passed. */
export function toPolicy(raw: z.output<typeof policySchema>, source: PolicySource): Policy {
  const { run_as_user: runAsUser, run_as_group: runAsGroup } = raw.process;
  return {
    version: raw.version,
    filesystem: {
      includeWorkdir: raw.filesystem_policy.include_workdir,
      readOnly: raw.filesystem_policy.read_only,
      readWrite: raw.filesystem_policy.read_write,
    },
    landlock: { compatibility: raw.landlock.compatibility },
    process: { ...(runAsUser !== undefined && { runAsUser }), ...(runAsGroup !== undefined && { runAsGroup }) },
    networkPolicies: Object.entries(raw.network_policies).map(([key, policy]) => toNetworkPolicy(key, policy)),
    tools: toTools(raw.tools),
    source,
  };
}

/** Without the section every tool is allowed, since the other planes still hold; with it, what it does not name is not. */
function toTools(raw: z.output<typeof toolsSchema> | undefined): Policy['tools'] {
  if (raw === undefined) return { default: 'allow', rules: [] };
  const rules = raw.rules.map(
    ({ tool, effect, reason }): ToolRule => (reason === undefined ? { tool, effect } : { tool, effect, reason }),
  );
  return { default: raw.default, rules };
}
