import { isIP } from 'node:net';
import { posix } from 'node:path';
import type { ProcessRef, Subject } from '@nemoclaw/policy';
import { maskCommandLine } from '../mask.ts';
import { shortAncestry } from './text.ts';

/** OCSF file types that we can tell. */
export type FileType = 'unknown' | 'file' | 'folder' | 'symlink';

const FILE_TYPES = {
  unknown: [0, 'Unknown'],
  file: [1, 'Regular File'],
  folder: [2, 'Folder'],
  symlink: [7, 'Symbolic Link'],
} as const;

/** OCSF file object. */
export function fileObject(path: string, kind: FileType) {
  const [id, caption] = FILE_TYPES[kind];
  return { name: baseName(path), path, type_id: id, type: caption };
}

/** Last component of a path; the path itself where it has none. */
export function baseName(path: string): string {
  return posix.basename(path) || path;
}

/** OCSF process object. The command line is the process's own word, masked. */
export function processObject(process: ProcessRef) {
  const { pid, executable, ancestors, commandLine } = process;
  return {
    pid,
    ...(executable === undefined ? {} : { name: baseName(executable), file: fileObject(executable, 'file') }),
    ...(commandLine === undefined ? {} : { cmd_line: maskCommandLine(commandLine) }),
    ...(ancestors.length === 0
      ? {}
      : { ancestry: shortAncestry(ancestors).map((path) => ({ name: baseName(path), path })) }),
  };
}

/** OCSF actor: the first process, its session, and the sandbox as the application that acts. */
export function actorObject(subject: Subject) {
  const [first] = subject.processes ?? [];
  return {
    app_name: subject.sandbox,
    ...(first === undefined ? {} : { process: processObject(first) }),
    ...(subject.session === undefined ? {} : { session: { uid: subject.session } }),
  };
}

/** OCSF device: the sandbox is the (virtual) machine that things happen on. */
export function deviceObject(sandbox: string) {
  return { type_id: 6, type: 'Virtual', name: sandbox, hostname: sandbox };
}

/** OCSF network endpoint of a host name or literal address. */
export function endpointObject(host: string, port: number) {
  return isIP(host) === 0 ? { hostname: host, port } : { ip: host, port };
}

/** A host as it stands in a URL or before a port. */
export function hostText(host: string): string {
  return isIP(host) === 6 ? `[${host}]` : host;
}
