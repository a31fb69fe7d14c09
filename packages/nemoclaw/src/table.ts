import { styleText } from 'node:util';
import { neutralise } from '@nemoclaw/audit';

const ELLIPSIS = '…';

function fit(text: string, width: number): string {
  return text.length <= width ? text.padEnd(width) : `${text.slice(0, width - 1)}${ELLIPSIS}`;
}

/**
 * Lays rows out in columns, the widest column cut so that a line fits the terminal. Control characters are made
 * visible: cells may hold what an agent chose.
 * @param flexible index of the column that gives way
 */
export function table(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  flexible: number,
  width = 140,
): string {
  const clean = rows.map((row) => row.map(neutralise));
  const widths = header.map((title, column) => Math.max(title.length, ...clean.map((row) => row[column]?.length ?? 0)));
  const others = widths.reduce((sum, each, column) => (column === flexible ? sum : sum + each + 2), 0);
  widths[flexible] = Math.max(20, Math.min(widths[flexible] ?? 0, width - others));
  const line = (cells: readonly string[]): string =>
    widths
      .map((each, column) => fit(cells[column] ?? '', each))
      .join('  ')
      .trimEnd();
  const paint = (text: string): string => {
    if (/ {2}(deny|ask)\b/.test(text)) return styleText('red', text, { stream: process.stdout });
    return text;
  };
  return [styleText('bold', line(header), { stream: process.stdout }), ...clean.map(line).map(paint)].join('\n');
}
