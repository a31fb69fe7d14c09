/** The policy engine: what is allowed, decided in one pure function. */
export { canonicalAddress } from './address.ts';
export { type CompileContext, type CompiledPolicy, compile } from './compile.ts';
export { decide } from './decide.ts';
export { fileAccess } from './engine/filesystem.ts';
export { isHostName, normaliseHost } from './host.ts';
export { limits } from './limits.ts';
export { parsePolicy } from './parse.ts';
export type * from './policy.ts';
export { formatProblems, PolicyError, type PolicyProblem } from './problems.ts';
export * from './vocabulary.ts';
