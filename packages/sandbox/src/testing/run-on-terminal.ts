import { planLaunch } from '../compose.ts';
import { launch } from '../launch.ts';
import { probeKernel } from '../probe.ts';
import { noAllowList, testSpec } from './fixture.ts';

/** `node run-on-terminal.ts WORKDIR [--unfiltered] COMMAND…`: a supervisor of one sandbox on its own descriptors. */
const [workdir = '/', ...rest] = process.argv.slice(2);
const unfiltered = rest[0] === '--unfiltered';
const plan = planLaunch(testSpec(workdir, unfiltered ? rest.slice(1) : rest), await probeKernel());
const sandbox = await launch(unfiltered ? { ...plan, steps: noAllowList(plan.steps) } : plan);
// What the terminal sends to the group reaches the command by itself; the supervisor stays to see its end.
process.on('SIGINT', () => {});
sandbox.release();
process.exitCode = (await sandbox.exited).code;
