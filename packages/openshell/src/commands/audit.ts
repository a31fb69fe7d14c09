import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatRecord, type LogEntry, readLog, verifyLog } from '@nemoclaw/audit';
import { nemoclawHome, sandboxName, sandboxPaths, UsageError } from '../home.ts';

const hasLog = (directory: string): boolean => existsSync(join(directory, 'events.jsonl'));

/** A log by its directory, or by the name of its sandbox. */
function logDirectory(target: string): string {
  if (hasLog(target)) return target;
  if (target.includes('/')) throw new UsageError(`${target}: no audit log there (no events.jsonl)`, 1);
  const { audit } = sandboxPaths(nemoclawHome(), sandboxName(target));
  if (!hasLog(audit)) throw new UsageError(`no sandbox called ${target} has a log under ${nemoclawHome()}`, 1);
  return audit;
}

/** `openshell audit verify`: exit 0 when every record is as it was written, else 1. */
export async function verify(
  target: string,
  options: { readonly key?: string; readonly json?: boolean },
): Promise<number> {
  const directory = logDirectory(target);
  const key =
    options.key !== undefined && existsSync(options.key) ? readFileSync(options.key, 'utf8').trim() : options.key;
  const result = await verifyLog(directory, key === undefined ? {} : { publicKey: key });
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ directory, ...result })}\n`);
  } else if (result.ok) {
    const state = result.closed ? 'closed' : 'open, or not closed cleanly';
    process.stdout.write(
      `ok: ${result.records} records, ${result.covered} under a signed head (${state})\nroot ${result.root}\n`,
    );
  } else {
    const where = result.firstBad ? ` at record ${result.firstBad.sequence}: ${result.firstBad.reason}` : '';
    process.stdout.write(`FAILED${where}\n${result.problems.map((problem) => `  ${problem}\n`).join('')}`);
  }
  return result.ok ? 0 : 1;
}

interface LogsOptions {
  readonly tail?: string;
  readonly denied?: boolean;
  readonly json?: boolean;
}

/** `openshell logs`: one line a record. */
export async function logs(target: string, options: LogsOptions): Promise<number> {
  const tail = options.tail === undefined ? Number.POSITIVE_INFINITY : Number(options.tail);
  if (!(tail >= 1) || (!Number.isInteger(tail) && tail !== Number.POSITIVE_INFINITY))
    throw new UsageError(`--tail ${options.tail}: expected a whole number of at least 1`);
  const kept: LogEntry[] = [];
  const show = ({ record }: LogEntry): void => {
    process.stdout.write(
      `${options.json ? JSON.stringify(record) : formatRecord(record, { color: process.stdout.isTTY })}\n`,
    );
  };
  for await (const entry of readLog(logDirectory(target))) {
    if (options.denied && entry.record.disposition_id !== 2) continue;
    if (tail === Number.POSITIVE_INFINITY) show(entry);
    else if (kept.push(entry) > tail) kept.shift();
  }
  kept.forEach(show);
  return 0;
}
