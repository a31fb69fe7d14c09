import { limits } from './limits.ts';

/** True for an absolute path in its one spelling: no `.`, `..` or empty components, no final `/`, at most PATH_MAX. */
export function isNormalPath(path: string): boolean {
  if (path.length > limits.pathLength || path.includes('\0')) return false;
  return path === '/' || (path.startsWith('/') && path.slice(1).split('/').every(isComponent));
}

function isComponent(part: string): boolean {
  return part !== '' && part !== '.' && part !== '..';
}
