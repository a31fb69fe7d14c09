/** One thing wrong with a policy file. */
export interface PolicyProblem {
  readonly file: string;
  /** 1-based. */
  readonly line: number;
  /** 1-based, in UTF-16 code units. */
  readonly column: number;
  /** One sentence. Text quoted from the file is escaped and cut. */
  readonly message: string;
  /** What to write instead, where that is known. */
  readonly suggestion?: string;
}

/** A policy file that is not a policy. Nothing of it takes effect. */
export class PolicyError extends Error {
  override readonly name = 'PolicyError';
  /** In file order; at least one. */
  readonly problems: readonly PolicyProblem[];

  constructor(problems: readonly PolicyProblem[]) {
    super(formatProblems(problems));
    this.problems = problems;
  }
}

/** One line a problem (`file:line:column: message`), its suggestion indented below it. */
export function formatProblems(problems: readonly PolicyProblem[]): string {
  return problems
    .map(({ file, line, column, message, suggestion }) => {
      const head = `${file}:${line}:${column}: ${message}`;
      return suggestion === undefined ? head : `${head}\n  ${suggestion}`;
    })
    .join('\n');
}
