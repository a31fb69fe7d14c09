import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AuditError, formatRecord, type LogEntry, readLog, verifyLog } from '@nemoclaw/audit';
import { nemoclawHome, sandboxName, sandboxPaths, UsageError } from '../home.ts';

const hasLog = (directory: string): boolean => existsSync(join(directory, 'events.jsonl'));

/** A log by its directory, or by the name of its sandbox. */
function logDirectory(target: string): string {
  // A bare word is a sandbox, never a directory that happens to be here: an agent may have made that.
  if (target.includes('/') || target.startsWith('.')) {
    if (hasLog(target)) return target;
    throw new UsageError(`${target}: no audit log there (no events.jsonl)`, 1);
  }
  const home = nemoclawHome();
  const { audit } = sandboxPaths(home, sandboxName(target));
  if (hasLog(audit)) return audit;
  const known = existsSync(join(home, 'audit')) ? readdirSync(join(home, 'audit')).slice(-10) : [];
  const list = known.length === 0 ? 'there is none yet' : `there are ${known.join(', ')}`;
  throw new UsageError(
    `no sandbox called ${target} has a log under ${home} (${list}); a directory is written with a /`,
    1,
  );
}

/** `openshell audit verify`: exit 0 when every record is as it was written, else 1. */
export async function verify(
  target: string,
  options: { readonly key?: string; readonly json?: boolean },
): Promise<number> {
  const directory = logDirectory(target);
  const key =
    options.key !== undefined && existsSync(options.key) ? readFileSync(options.key, 'utf8').trim() : options.key;
  const result = await verifyLog(directory, key === undefined ? {} : { publicKey: key }).catch((error: Error) => {
    // A part of the log is gone or cannot be trusted: a finding about this log. A key that is none is the caller's slip.
    if (!(error instanceof AuditError) || error.code === 'invalid') throw error;
    throw new UsageError(`FAILED: ${error.message}`, 1);
  });
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ directory, ...result })}\n`);
  } else if (result.ok) {
    const state = result.closed ? 'closed' : 'open, or not closed cleanly';
    process.stdout.write(
      `${directory}\nok: ${result.records} records, ${result.covered} under a signed head (${state})\nroot ${result.root}\n`,
    );
  } else {
    const where = result.firstBad
      ? ` at ${result.firstBad.sequence === undefined ? `${result.firstBad.file}:${result.firstBad.line}` : `record ${result.firstBad.sequence}`}: ${result.firstBad.reason}`
      : '';
    process.stdout.write(
      `${directory}\nFAILED${where}\n${result.problems.map((problem) => `  ${problem}\n`).join('')}`,
    );
  }
  return result.ok ? 0 : 1;
}

/** JSON in which nothing can act on a terminal: control and format characters beyond ASCII as escapes. */
function inertJson(value: unknown): string {
  const escaped = (text: string): string =>
    Array.from({ length: text.length }, (_, at) => `\\u${text.charCodeAt(at).toString(16).padStart(4, '0')}`).join('');
  return JSON.stringify(value).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, escaped);
}

const DEFAULT_TAIL = 20;

interface LogsOptions {
  readonly tail?: string | true;
  readonly denied?: boolean;
  readonly json?: boolean;
}

/** `openshell logs`: one line a record. */
export async function logs(target: string, options: LogsOptions): Promise<number> {
  const { tail: wanted = Number.POSITIVE_INFINITY } = options;
  const tail = wanted === true ? DEFAULT_TAIL : Number(wanted);
  if (!(tail >= 1) || (!Number.isInteger(tail) && tail !== Number.POSITIVE_INFINITY))
    throw new UsageError(`--tail ${options.tail}: expected a whole number of at least 1`);
  const kept: LogEntry[] = [];
  const show = ({ record }: LogEntry): void => {
    process.stdout.write(
      `${options.json ? inertJson(record) : formatRecord(record, { color: process.stdout.isTTY })}\n`,
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
