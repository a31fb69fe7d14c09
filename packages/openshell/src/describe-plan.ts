import { type LaunchPlan, MOUNT, printablePlan, type Step } from '@nemoclaw/sandbox';

function attributes(bits: number): string {
  const names = Object.entries({ ro: MOUNT.readOnly, nosuid: MOUNT.noSuid, nodev: MOUNT.noDev, noexec: MOUNT.noExec });
  return names
    .filter(([, bit]) => (bits & bit) !== 0)
    .map(([name]) => name)
    .join(',');
}

function describeValue(key: string, value: unknown): string {
  if (key === 'mode') return `0${Number(value).toString(8)}`;
  if (key === 'flags' || key === 'attributes') return `0x${Number(value).toString(16)}`;
  if (typeof value === 'object' && value !== null && 'sha256' in value && 'bytes' in value) {
    return `${value.bytes} bytes, sha256 ${String(value.sha256).slice(0, 12)}…`;
  }
  return typeof value === 'string' ? value.trimEnd() : JSON.stringify(value);
}

/** What a step does to what, in a line; bytes by their size and digest. */
function describeStep(step: Step, slots: Map<number, string>): string {
  switch (step.op) {
    case 'tree':
      slots.set(
        step.slot,
        `${step.source} (${attributes(step.attributes)}${step.idmap === undefined ? '' : ',idmapped'})`,
      );
      return `${step.source} ${attributes(step.attributes)}`;
    case 'monitor':
      return `records ${step.watches.length} system calls`;
    case 'attach':
      return `/${step.path} <- ${slots.get(step.slot) ?? `slot ${step.slot}`}`;
    case 'mount':
    case 'root':
      return `${step.kind} at ${step.path} ${attributes(step.attributes)}`;
    case 'exec':
      return step.argv.map((each) => JSON.stringify(each)).join(' ');
    case 'landlock_path':
      return `${step.path} 0x${step.access.toString(16)}`;
    default: {
      const { op: _, ...rest } = (
        printablePlan({ name: '', steps: [step], warnings: [], writable: [] }) as { steps: [Record<string, unknown>] }
      ).steps[0];
      return Object.entries(rest)
        .map(([key, value]) => `${key}=${describeValue(key, value)}`)
        .join(' ');
    }
  }
}

/** The launch plan as text: a numbered step a line, in the order in which they are carried out. */
export function describePlan(plan: LaunchPlan): string {
  const slots = new Map<number, string>();
  const lines = plan.steps.map((step, index) => {
    const text = describeStep(step, slots).replace(/\p{Cc}/gu, ' ');
    return `${String(index + 1).padStart(3)}  ${step.op.padEnd(17)} ${text}`.trimEnd();
  });
  const warnings = plan.warnings.map((each) => `warning: ${each}`);
  return `${[`launch plan of ${plan.name}`, ...lines, ...warnings].join('\n')}\n`;
}
