#!/usr/bin/env node
/**
 * Builds openshell-init: `node build.mjs [--sanitize]`. Plain JavaScript for Node >= 20, because it runs before
 * anything else is set up. Does nothing when the sources and flags are those of the last build.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const sourceDirectory = join(here, 'src');
const buildDirectory = join(here, 'build');

const WARNINGS = ['-std=gnu11', '-Wall', '-Wextra', '-Werror'];
const HARDENED = ['-O2', '-fstack-protector-strong', '-D_FORTIFY_SOURCE=2', '-s'];
const SANITIZED = ['-O1', '-g', '-fno-omit-frame-pointer', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'];

/** Compilers to try, best first: a static binary starts faster and needs nothing of the host. */
const RELEASE = [
  ['musl-gcc', '-static'],
  ['cc', '-static'],
  ['cc', '-pie', '-fPIE'],
];
const SANITIZE = [['cc']];

function digest(files, flags) {
  const hash = createHash('sha256').update(JSON.stringify(flags)).update(process.arch);
  for (const file of files) hash.update(file).update(readFileSync(join(sourceDirectory, file)));
  return hash.digest('hex');
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** Compiles with the first compiler that can; a mistake in the sources stops at once. */
function compile(candidates, flags, sources, output) {
  const failures = [];
  for (const [compiler, ...mode] of candidates) {
    const probe = spawnSync(compiler, [...mode, '-x', 'c', '-', '-o', `${output}.probe`], {
      input: '#include <linux/seccomp.h>\n#include <stdio.h>\nint main(void) { return puts(""); }\n',
      encoding: 'utf8',
    });
    rmSync(`${output}.probe`, { force: true });
    if (probe.status !== 0) {
      const missing = probe.error?.code === 'ENOENT' ? 'not installed' : probe.error?.message;
      failures.push(`${compiler}: ${missing ?? probe.stderr.trim()}`);
      continue;
    }
    const done = spawnSync(compiler, [...flags, ...mode, ...sources, '-o', output], { stdio: 'inherit' });
    if (done.status !== 0) throw new Error(`${compiler} could not compile openshell-init`);
    return [compiler, ...mode].join(' ');
  }
  throw new Error(
    'no C compiler that can build openshell-init.\n' +
      '  Debian, Ubuntu: apt-get install gcc libc6-dev linux-libc-dev\n' +
      '  Fedora: dnf install gcc glibc-devel kernel-headers\n' +
      `  Alpine: apk add gcc musl-dev linux-headers\n  Tried:\n    ${failures.join('\n    ')}`,
  );
}

function build(sanitize) {
  const name = sanitize ? 'openshell-init-sanitized' : 'openshell-init';
  const flags = [...WARNINGS, ...(sanitize ? SANITIZED : HARDENED)];
  const files = readdirSync(sourceDirectory)
    .filter((file) => /\.[ch]$/.test(file))
    .sort();
  const wanted = digest(files, flags);
  const output = join(buildDirectory, name);
  const stamp = `${output}.sha256`;
  if (read(stamp) === wanted && spawnSync(output, [], { stdio: 'ignore' }).status === 125) return;
  mkdirSync(buildDirectory, { recursive: true });
  // Built aside and moved into place: a build that is interrupted, or one beside another, leaves no half binary.
  const scratch = mkdtempSync(join(buildDirectory, 'tmp-'));
  try {
    const sources = files.filter((file) => file.endsWith('.c')).map((file) => join(sourceDirectory, file));
    const fresh = join(scratch, name);
    const how = compile(sanitize ? SANITIZE : RELEASE, flags, sources, fresh);
    renameSync(fresh, output);
    writeFileSync(stamp, wanted);
    process.stderr.write(`built ${name} (${how})\n`);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

try {
  build(process.argv.includes('--sanitize'));
} catch (error) {
  process.stderr.write(`build.mjs: ${error.message}\n`);
  process.exitCode = 1;
}
