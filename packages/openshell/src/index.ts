export { reportError } from './errors.ts';
export { nemoclawHome, ownState, privateDirectory, sandboxName, sandboxPaths, UsageError } from './home.ts';
export { parseHosts, readPolicy, type SandboxRequest, workDirectory } from './request.ts';
export { INFERENCE_HOST, type Supervised, type SuperviseOptions, supervise } from './supervisor.ts';
