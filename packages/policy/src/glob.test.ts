import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compileGlob, globProblem, type Separator } from './glob.ts';
import { limits } from './limits.ts';

const CASES: readonly [pattern: string, separator: Separator, text: string, matches: boolean][] = [
  ['/usr/bin/curl', '/', '/usr/bin/curl', true],
  ['/usr/bin/curl', '/', '/usr/bin/curl2', false],
  ['/usr/bin/curl', '/', '/USR/bin/curl', false],
  ['/usr/bin/*', '/', '/usr/bin/git', true],
  ['/usr/bin/*', '/', '/usr/bin/', true],
  ['/usr/bin/*', '/', '/usr/bin', false],
  ['/usr/bin/*', '/', '/usr/bin/a/b', false],
  ['/usr/bin/python3*', '/', '/usr/bin/python3.11', true],
  ['/a/**', '/', '/a/b/c', true],
  ['/a/**', '/', '/a/', true],
  // `/a` is not below itself.
  ['/a/**', '/', '/a', false],
  ['/a/**', '/', '/ab', false],
  ['/a/**/z', '/', '/a/b/c/z', true],
  ['/a/**/z', '/', '/a//z', true],
  ['/a/**/z', '/', '/a/z', false],
  ['/a/*/z', '/', '/a/b/c/z', false],
  ['**', '/', '', true],
  ['**', '/', '/any/thing\n', true],
  ['/repos/*/issues/**', '/', '/repos/x/issues/1/comments', true],
  ['/repos/*/issues/**', '/', '/repos/x/y/issues/1', false],
  ['*.example.com', '.', 'api.example.com', true],
  ['*.example.com', '.', 'a.b.example.com', false],
  ['*.example.com', '.', 'example.com', false],
  ['**.example.com', '.', 'a.b.example.com', true],
  ['**.example.com', '.', 'example.com', false],
  ['**.example.com', '.', 'evilexample.com', false],
  ['*-api.example.com', '.', 'eu-api.example.com', true],
  ['a.*.example.com', '.', 'a.b.example.com', true],
  ['a.*.example.com', '.', 'a.b.c.example.com', false],
  ['memory_*', '', 'memory_get', true],
  ['v1.*', '', 'v1.2.3', true],
  ['a*a', '', 'a', false],
  ['a.c', '', 'abc', false],
  ['(a+)+$', '', 'aaaa', false],
];

for (const [pattern, separator, text, expected] of CASES) {
  test(`${pattern} ${expected ? 'matches' : 'does not match'} ${JSON.stringify(text)} (separator "${separator}")`, () => {
    assert.equal(compileGlob(pattern, separator).matches(text), expected);
  });
}

/** The definition, word for word: a star tries every length. Exponential, and obviously right. */
function reference(pattern: string, text: string, separator: string): boolean {
  if (pattern === '') return text === '';
  if (!pattern.startsWith('*')) {
    return text !== '' && pattern[0] === text[0] && reference(pattern.slice(1), text.slice(1), separator);
  }
  const crosses = pattern.startsWith('**');
  const rest = pattern.slice(crosses ? 2 : 1);
  for (let length = 0; length <= text.length; length += 1) {
    if (!crosses && separator !== '' && text.slice(0, length).includes(separator)) return false;
    if (reference(rest, text.slice(length), separator)) return true;
  }
  return false;
}

test('agrees with the reference matcher', () => {
  const separator = fc.constantFrom<Separator>('/', '.', '');
  const pattern = fc
    .array(fc.constantFrom('a', 'b', '/', '.', '*', '**'), { minLength: 1, maxLength: 8 })
    .map((parts) => parts.join(''))
    .filter((text) => globProblem(text) === undefined);
  const text = fc.array(fc.constantFrom('a', 'b', '/', '.'), { maxLength: 9 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(pattern, text, separator, (glob, subject, by) => {
      assert.equal(compileGlob(glob, by).matches(subject), reference(glob, subject, by));
    }),
    { numRuns: 20_000 },
  );
});

test('a text made from the pattern matches it', () => {
  const parts = fc.array(
    fc.tuple(fc.constantFrom('x', '/', 'yy'), fc.constantFrom('', '*', '**'), fc.stringMatching(/^[xyz]*$/)),
  );
  fc.assert(
    fc.property(parts, (pieces) => {
      const pattern = pieces.map(([literal, star]) => literal + star).join('');
      const text = pieces.map(([literal, star, fill]) => literal + (star === '' ? '' : fill)).join('');
      fc.pre(globProblem(pattern) === undefined);
      assert.ok(compileGlob(pattern, '/').matches(text));
    }),
  );
});

test('matching is linear in the text: a backtracking matcher would never finish', () => {
  const pattern = `${'**a*a'.repeat(limits.globLength / 8)}b`;
  assert.equal(globProblem(pattern), undefined);
  const glob = compileGlob(`${pattern}*c`, '/');
  const started = performance.now();
  assert.equal(glob.matches('a'.repeat(8192)), false);
  assert.equal(glob.matches(`${'a'.repeat(8192)}c`), false);
  assert.ok(performance.now() - started < 5000);
});

test('what is not a glob is named', () => {
  for (const pattern of ['', 'a?', 'a[b]', '{a,b}', 'a\\*', 'a***', 'a\0', 'a\nb', 'a'.repeat(limits.globLength + 1)]) {
    assert.notEqual(globProblem(pattern), undefined, pattern);
  }
  for (const pattern of ['a', '*', '**', '/a/**/b*', 'ü']) assert.equal(globProblem(pattern), undefined, pattern);
});

test('compiling and matching never throw', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (pattern, text) => {
      assert.equal(typeof compileGlob(pattern, '/').matches(text), 'boolean');
    }),
  );
});
