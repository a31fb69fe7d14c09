/** Shared by the tests: short ways to write policies and actions. */
import { readFileSync } from 'node:fs';
import { compile } from '../compile.ts';
import { decide } from '../decide.ts';
import { parsePolicy } from '../parse.ts';
import { PolicyError, type PolicyProblem } from '../problems.ts';
import type { Decision, HttpRequest, NetConnect, ProcessRef, Subject, ToolCall } from '../vocabulary.ts';

export const SYSTEM = 'filesystem_policy: { read_only: [/usr, /opt, /etc], read_write: [/tmp] }\n';

/** Compiles YAML text; `version: 1` is added. */
export function policyOf(yaml: string, workdir = '/project') {
  return compile(parsePolicy(`version: 1\n${yaml}`, 'test.yaml'), { workdir });
}

export function problemsOf(text: string): readonly PolicyProblem[] {
  try {
    parsePolicy(text, 'test.yaml');
  } catch (error) {
    if (error instanceof PolicyError) return error.problems;
    throw error;
  }
  return [];
}

export function readRepositoryFile(name: string): string {
  return readFileSync(new URL(`../../../../${name}`, import.meta.url), 'utf8');
}

export function runningAs(executable?: string, ...ancestors: string[]): Subject {
  const process: ProcessRef = executable === undefined ? { pid: 7, ancestors } : { pid: 7, executable, ancestors };
  return { sandbox: 'test', processes: [process] };
}

const CURL = runningAs('/usr/bin/curl');

export function connect(host: string, port = 443, subject = CURL): NetConnect {
  return { kind: 'net.connect', subject, host, port, literal: /^[0-9.]+$|:/.test(host) };
}

export function request(line: string, query: HttpRequest['query'] = [], subject = CURL): HttpRequest {
  const [method = '', host = '', path = ''] = line.split(' ');
  const literal = /^[0-9.]+$|:/.test(host);
  return { kind: 'http.request', subject, scheme: 'https', host, port: 443, literal, method, path, query };
}

export function call(tool: string): ToolCall {
  return { kind: 'tool.call', subject: { sandbox: 'test' }, tool, callId: '1' };
}

export function effectOf(yaml: string, action: Parameters<typeof decide>[1]): Decision['effect'] {
  return decide(policyOf(yaml), action).effect;
}
