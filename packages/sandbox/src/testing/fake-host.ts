import { posix } from 'node:path';
import type { HostFile, HostFiles } from '../host.ts';

export interface FakeFile extends Partial<HostFile> {
  readonly link?: string;
  readonly content?: string;
}

/** A host made of a table of paths; parents are directories of root. */
export function fakeHost(table: Readonly<Record<string, FakeFile>>): HostFiles {
  const files = new Map<string, FakeFile>([['/', { kind: 'directory' }]]);
  for (const [path, file] of Object.entries(table)) {
    for (let at = posix.dirname(path); at !== '/'; at = posix.dirname(at)) {
      if (!files.has(at)) files.set(at, { kind: 'directory' });
    }
    files.set(path, file.link === undefined ? file : { ...file, kind: 'symlink' });
  }
  const realpath = (path: string, depth = 0): string | undefined => {
    let real = '/';
    for (const part of path.split('/').filter(Boolean)) {
      real = posix.join(real, part);
      const link = files.get(real)?.link;
      if (link === undefined) continue;
      const target = depth < 10 ? realpath(posix.resolve(posix.dirname(real), link), depth + 1) : undefined;
      if (target === undefined) return undefined;
      real = target;
    }
    return files.has(real) ? real : undefined;
  };
  return {
    lstat(path) {
      const parent = realpath(posix.dirname(path));
      const file = parent === undefined ? undefined : files.get(posix.join(parent, posix.basename(path)));
      if (file === undefined) return undefined;
      const { kind = 'directory', uid = 0, gid = 0, mode = 0o755, size = file.content?.length ?? 0 } = file;
      return { kind, uid, gid, mode, size };
    },
    realpath: (path) => realpath(path),
    readlink: (path) => files.get(path)?.link ?? '',
    read(path) {
      const content = files.get(realpath(path) ?? '')?.content;
      return content === undefined ? undefined : Buffer.from(content);
    },
  };
}
