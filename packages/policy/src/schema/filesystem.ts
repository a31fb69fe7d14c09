import { z } from 'zod';
import { limits } from '../limits.ts';
import { absolutePath, report, section } from './section.ts';

/** Trees that the sandbox makes itself and that no listing can make writable. */
const NEVER_WRITABLE = ['/proc', '/sys'];

const readWritePath = absolutePath().superRefine((path, context) => {
  if (path === '/') report(context, '`/` cannot be writable', { suggestion: 'list the directories that must be' });
  if (path === '/dev') report(context, '`/dev` cannot be writable', { suggestion: 'list single devices' });
  const tree = NEVER_WRITABLE.find((root) => path === root || path.startsWith(`${root}/`));
  if (tree !== undefined) report(context, `\`${tree}\` belongs to the sandbox and cannot be made writable`);
});

export const filesystemSchema = section({
  include_workdir: z.boolean().default(false),
  read_only: z.array(absolutePath()).default([]),
  read_write: z.array(readWritePath).default([]),
}).superRefine(({ read_only: readOnly, read_write: readWrite }, context) => {
  if (readOnly.length + readWrite.length > limits.paths) {
    report(context, `more than ${limits.paths} paths in read_only and read_write together`);
  }
  const listed = new Set(readOnly);
  for (const [index, path] of readWrite.entries()) {
    if (!listed.has(path)) continue;
    const suggestion = 'remove it from one of the two lists';
    report(context, 'this path is also in `read_only`', { path: ['read_write', index], suggestion });
  }
});
