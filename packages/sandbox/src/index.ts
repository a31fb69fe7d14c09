export { planLaunch } from './compose.ts';
export { LaunchError } from './error.ts';
export type { HostFile, HostFiles } from './host.ts';
export { type Exit, type LaunchOptions, launch, type RunningSandbox } from './launch.ts';
export type { KernelEvent } from './monitor.ts';
export { type LaunchPlan, MOUNT, printablePlan, type Step, type StepName } from './plan.ts';
export { type KernelFacts, type MissingFeature, probeKernel } from './probe.ts';
export type { SandboxSpec } from './spec.ts';
