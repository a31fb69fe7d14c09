/**
 * YAML text to plain data that remembers where everything stood.
 *
 * The tree is walked here rather than by `toJS()`, so that duplicate keys, aliases, depth and size are judged in one
 * linear pass, with positions. Repeated anchors and `__proto__` are refused because tools disagree on what they mean.
 */
import { Composer, type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, Parser } from 'yaml';
import { limits } from '../limits.ts';
import type { PolicyProblem } from '../problems.ts';
import { printable } from '../text.ts';

export type PathSegment = string | number;

/** Where a node begins, as offsets into the text. */
interface Place {
  /** Its key in the mapping, or its own start where it has none. */
  readonly key: number;
  readonly value: number;
}

/** Parsed text. `value` is usable only when `problems` is empty. */
export interface SourceDocument {
  readonly value: unknown;
  readonly problems: readonly PolicyProblem[];
  /** 1-based line by YAML path, for every node. */
  readonly lines: ReadonlyMap<string, number>;
  /**
   * The position of a node, or of its nearest ancestor that exists.
   * `at: 'key'` points at its key, `'value'` at what stands there.
   */
  locate(path: readonly PathSegment[], at: 'key' | 'value'): { line: number; column: number };
}

/** `network_policies.github.endpoints[0]`; keys that are not plain words are quoted. */
export function formatPath(path: readonly PathSegment[]): string {
  let text = '';
  for (const segment of path) {
    if (typeof segment === 'number') text += `[${segment}]`;
    else if (!/^[A-Za-z0-9_-]+$/.test(segment)) text += `[${JSON.stringify(segment)}]`;
    else text += text === '' ? segment : `.${segment}`;
  }
  return text;
}

/** Reads one YAML 1.2 (core schema) document. Never throws; see `limits` for its bounds. */
export function readDocument(text: string, file: string): SourceDocument {
  const lineCounter = new LineCounter();
  const walker = new Walker(file, lineCounter);
  let value: unknown;
  if (Buffer.byteLength(text) > limits.policyBytes) {
    walker.problem(0, `the policy is larger than ${limits.policyBytes} bytes`);
  } else {
    const root = compose(text, lineCounter, walker);
    if (root !== undefined) value = walker.walk(root, [], 0);
  }
  return {
    value,
    problems: walker.problems,
    get lines() {
      return new Map([...walker.places].map(([path, place]) => [path, lineCounter.linePos(place.key).line]));
    },
    locate: (path, at) => walker.locate(path, at),
  };
}

function compose(text: string, lineCounter: LineCounter, walker: Walker): Node | undefined {
  const tokens = new Parser(lineCounter.addNewLine).parse(text);
  const composer = new Composer({ version: '1.2', schema: 'core', merge: false, uniqueKeys: false, strict: true });
  let first: Document.Parsed | undefined;
  for (const document of composer.compose(tokens, true, text.length)) {
    if (first !== undefined) {
      walker.problem(document.range[0], 'a policy file holds one YAML document', 'split it into one file a policy');
      break;
    }
    first = document;
  }
  if (first === undefined) return undefined;
  // A warning is something the parser did not understand, such as a tag; here that is an error too.
  for (const { pos, message } of [...first.errors, ...first.warnings].slice(0, limits.problems)) {
    walker.problem(pos[0], `not valid YAML: ${printable(message)}`);
  }
  const { explicit, version } = first.directives.yaml;
  if (explicit === true && version !== '1.2') walker.problem(0, `YAML ${version} is not supported`, 'use YAML 1.2');
  if (walker.problems.length > 0) return undefined;
  if (first.contents === null) {
    walker.problem(0, 'the policy is empty', 'the smallest policy, which allows nothing, is `version: 1`');
    return undefined;
  }
  return first.contents;
}

class Walker {
  readonly problems: PolicyProblem[] = [];
  readonly places = new Map<string, Place>();
  readonly #file: string;
  readonly #lineCounter: LineCounter;
  readonly #anchors = new Map<string, Node>();
  #nodes = 0;
  #aliasDepth = 0;

  constructor(file: string, lineCounter: LineCounter) {
    this.#file = file;
    this.#lineCounter = lineCounter;
  }

  problem(offset: number, message: string, suggestion?: string): void {
    const { line, col } = this.#position(offset);
    const place = { file: this.#file, line, column: col, message };
    this.problems.push(suggestion === undefined ? place : { ...place, suggestion });
  }

  locate(path: readonly PathSegment[], at: 'key' | 'value'): { line: number; column: number } {
    for (let length = path.length; length >= 0; length -= 1) {
      const place = this.places.get(formatPath(path.slice(0, length)));
      if (place !== undefined) {
        const { line, col } = this.#position(place[at]);
        return { line, column: col };
      }
    }
    return { line: 1, column: 1 };
  }

  /** Plain data of a node. Stops descending, with a problem, where a limit is reached. */
  walk(node: Node | null, path: PathSegment[], keyOffset: number | undefined): unknown {
    const offset = node?.range?.[0] ?? keyOffset ?? 0;
    this.places.set(formatPath(path), { key: keyOffset ?? offset, value: offset });
    this.#nodes += 1;
    if (this.#nodes > limits.yamlNodes) {
      if (this.#nodes === limits.yamlNodes + 1) {
        this.problem(offset, `the policy holds more than ${limits.yamlNodes} values once aliases are expanded`);
      }
      return undefined;
    }
    if (path.length + this.#aliasDepth > limits.yamlDepth) {
      this.problem(offset, `the policy is nested more than ${limits.yamlDepth} levels deep`);
      return undefined;
    }
    if (isAlias(node)) return this.#alias(node.source, offset, path, keyOffset);
    this.#remember(node, offset);
    if (isMap(node)) return this.#map(node.items as readonly Entry[], path);
    if (isSeq(node))
      return node.items.map((item, index) => this.walk(item as Node | null, [...path, index], undefined));
    return isScalar(node) ? node.value : null;
  }

  #alias(name: string, offset: number, path: PathSegment[], keyOffset: number | undefined): unknown {
    const target = this.#anchors.get(name);
    if (target === undefined) {
      this.problem(offset, `the alias \`*${printable(name)}\` names no anchor before it`);
      return undefined;
    }
    this.#aliasDepth += 1;
    const value = this.walk(target, path, keyOffset);
    this.#aliasDepth -= 1;
    return value;
  }

  #remember(node: Node | null, offset: number): void {
    const anchor = isMap(node) || isSeq(node) || isScalar(node) ? node.anchor : undefined;
    if (anchor === undefined || node === null || this.#aliasDepth > 0) return;
    if (this.#anchors.has(anchor)) this.problem(offset, `the anchor \`&${printable(anchor)}\` is defined twice`);
    this.#anchors.set(anchor, node);
  }

  #map(items: readonly Entry[], path: PathSegment[]): unknown {
    const result: Record<string, unknown> = {};
    const seen = new Set<string>();
    for (const { key, value } of items) {
      const offset = key?.range?.[0] ?? 0;
      const name = isScalar(key) ? key.value : undefined;
      if (typeof name !== 'string') {
        this.problem(offset, 'a key must be text', isScalar(key) ? `write "${printable(String(name))}"` : undefined);
        continue;
      }
      if (seen.has(name)) {
        this.problem(offset, `the key \`${printable(name)}\` appears twice`, 'merge the two');
      } else if (name === '__proto__') {
        this.problem(offset, '`__proto__` cannot be used as a key');
      } else {
        result[name] = this.walk(value, [...path, name], offset);
      }
      seen.add(name);
    }
    return result;
  }

  #position(offset: number): { line: number; col: number } {
    const { line, col } = this.#lineCounter.linePos(offset);
    // Before the first line is seen the counter has no answer: that is the start of the file.
    return line === 0 ? { line: 1, col: 1 } : { line, col };
  }
}

interface Entry {
  readonly key: Node | null;
  readonly value: Node | null;
}
