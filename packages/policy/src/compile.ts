import { compileFilesystem, type FileRules } from './engine/filesystem.ts';
import { compileNetwork, type NetworkIndex } from './engine/network.ts';
import { type CompiledTools, compileTools } from './engine/tools.ts';
import { isNormalPath } from './paths.ts';
import type { Policy } from './policy.ts';

/** What a policy means depends on where it is applied. */
export interface CompileContext {
  /** The working directory as seen inside: absolute, normalised. Writable where the policy says `include_workdir`. */
  readonly workdir: string;
}

/** A policy made ready for {@link decide}: indexes and compiled globs. Opaque except for `policy`. Never changes. */
export interface CompiledPolicy {
  readonly policy: Policy;
  readonly filesystem: FileRules;
  readonly network: NetworkIndex;
  readonly tools: CompiledTools;
}

/** @throws {RangeError} when `workdir` is not absolute and normalised, or is `/` and would have to be writable. */
export function compile(policy: Policy, { workdir }: CompileContext): CompiledPolicy {
  if (!isNormalPath(workdir))
    throw new RangeError(`the working directory must be an absolute, normalised path: ${workdir}`);
  if (workdir === '/' && policy.filesystem.includeWorkdir) {
    throw new RangeError('the working directory cannot be / where the policy makes it writable: start in a directory');
  }
  return {
    policy,
    filesystem: compileFilesystem(policy, workdir),
    network: compileNetwork(policy),
    tools: compileTools(policy),
  };
}
