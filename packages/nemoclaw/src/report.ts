import { readLog, type SummaryRow, summarise } from '@nemoclaw/audit';
import { table } from './table.ts';

/** What a run left in the log: the rows worth a table, and how many records stand behind them. */
export interface Report {
  readonly rows: readonly SummaryRow[];
  readonly records: number;
  readonly folded: number;
}

/**
 * Whether a row belongs in the short table: every decision at the egress and inference planes, everything denied, and
 * what the agent's own commands ran and changed in its workspace. The rest (OpenClaw starting up and keeping its own
 * state) is in the log all the same.
 */
function isTold(row: SummaryRow, workspace: string): boolean {
  if (row.decision === undefined) return row.action === 'finding';
  // Libraries look up the names of addresses; nobody asked for that.
  if (row.action === 'dns.query' && row.object.startsWith('PTR ')) return false;
  if (row.decision !== 'allow') return true;
  if (row.action === 'inference.request' || row.action === 'dns.query') return false;
  if (row.plane !== 'kernel') return true;
  if (row.action === 'process.exec') return !/\/(node|sh|bash|openclaw)( |$)/.test(row.object);
  return row.object.includes(` ${workspace}/`) && !/\/\.(git|openclaw|fs-safe)/.test(row.object);
}

/** Reads the records from `firstSequence` on and picks what to tell. */
export async function reportOf(directory: string, firstSequence: number, workspace: string): Promise<Report> {
  const entries = [];
  for await (const entry of readLog(directory)) {
    if (entry.sequence >= firstSequence) entries.push(entry);
  }
  const all = summarise(entries);
  const rows = all.filter((row) => isTold(row, workspace));
  return { rows, records: entries.length, folded: all.length - rows.length };
}

/** The table that a person reads. */
export function reportTable(report: Report, width: number): string {
  const rows = report.rows.map((row) => [
    new Date(row.time).toISOString().slice(11, 23),
    row.plane,
    row.action,
    row.object,
    row.decision ?? '',
    row.outcome,
    row.rule ?? '',
  ]);
  return table(['time (UTC)', 'plane', 'action', 'object', 'decision', 'outcome', 'rule'], rows, 3, width);
}
