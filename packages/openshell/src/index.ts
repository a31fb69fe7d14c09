export { ensureDirectory, nemoclawHome, ownState, sandboxPaths, UsageError } from './home.ts';
export { readPolicy, type SandboxRequest, workDirectory } from './request.ts';
export { INFERENCE_HOST, type Supervised, type SuperviseOptions, supervise } from './supervisor.ts';
