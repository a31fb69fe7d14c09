/**
 * Side-by-side measurements: `npm run bench [-- launch|egress]`. Ratios matter more than milliseconds. A peer that is not
 * installed is skipped with a line that says so.
 */
import { benchEgress } from './egress.ts';
import { benchLaunch } from './launch.ts';
import { machine } from './measure.ts';

const wanted = process.argv[2] ?? 'all';
if (!['all', 'launch', 'egress'].includes(wanted)) {
  process.stderr.write(`bench: no benchmark called ${wanted}; there are: launch, egress\n`);
  process.exit(1);
}
process.stdout.write(`${machine()}\n`);
if (wanted !== 'egress') await benchLaunch();
if (wanted !== 'launch') await benchEgress();
