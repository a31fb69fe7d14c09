import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { AmbiguousRequest, type Authority, canonicalTarget, describeTarget, namesAuthority } from './target.ts';

const HTTPS: Authority = { scheme: 'https', host: 'a.example', port: 443 };

describe('canonical path', () => {
  for (const [raw, path] of [
    ['/', '/'],
    ['/a/b', '/a/b'],
    ['/a/', '/a/'],
    ['/a/./b', '/a/b'],
    ['/a/../b', '/b'],
    ['/a/b/..', '/a/'],
    ['/a/.', '/a/'],
    ['/a/%2e%2E/b', '/b'],
    ['/%61dmin', '/admin'],
    ['/%40scope/x', '/@scope/x'],
    ['/a%20b', '/a%20b'],
    ['/c%2b%2B+', '/c%2B%2B+'],
    ['/%c3%a9', '/%C3%A9'],
    ['/a|b^c[d]{e}"', '/a%7Cb%5Ec%5Bd%5D%7Be%7D%22'],
    ['/...', '/...'],
    ['/.hidden', '/.hidden'],
    ['/%E2%80%A6x', '/%E2%80%A6x'],
    ['https://a.example/x', '/x'],
    ['HTTPS://A.EXAMPLE:443', '/'],
    ['https://a.example?q', '/'],
  ] as const) {
    test(`${raw} is ${path}`, () => assert.equal(canonicalTarget(raw, HTTPS).path, path));
  }

  for (const raw of [
    '/%2f',
    '/%5C',
    '/a\\b',
    '/%00',
    '/%7f',
    '/%c2%85',
    '//',
    '/a//b',
    '/a;b',
    '/a%3Bb',
    '/..',
    '/a/../..',
    '/%252f',
  ]) {
    test(`${raw} is refused`, () => assert.throws(() => canonicalTarget(raw, HTTPS), AmbiguousRequest));
  }
  for (const raw of [
    '/%2525',
    '/%',
    '/%4',
    '/%ff',
    '/%ed%a0%80',
    '/%ef%bc%8f',
    '/%ef%bc%8e%ef%bc%8e',
    '/%e2%80%a5',
    '*',
    '',
    'a',
    '?x',
    '/a#b',
  ]) {
    test(`${raw || 'nothing'} is refused`, () => assert.throws(() => canonicalTarget(raw, HTTPS), AmbiguousRequest));
  }

  test('any bytes: refused, or canonical, stable and without structure hidden in escapes', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        '/',
        '.',
        '..',
        '%2e',
        '%2F',
        '%5c',
        '%25',
        '%',
        ';',
        '//',
        '?',
        '#',
        '%c0%ae',
        '%ef%bc%8f',
        '+',
        '%2B',
      ),
      fc.string({ maxLength: 4 }),
      fc.string({ unit: 'binary', maxLength: 3 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const raw = `/${pieces.join('')}`;
        let path: string;
        try {
          ({ path } = canonicalTarget(raw, HTTPS));
        } catch (error) {
          assert.ok(error instanceof AmbiguousRequest);
          return;
        }
        assert.match(path, /^\/[\x21-\x7e]*$/);
        assert.doesNotMatch(path, /\/\/|\/\.\.?(?:\/|$)|[\\;#?]/);
        assert.doesNotMatch(path, /%(?:2[eEfF]|5[cC]|3[bB]|[01][0-9a-fA-F]|7[fF])|%[a-f]|%.[a-f]/);
        assert.equal(canonicalTarget(path, HTTPS).path, path);
        // What an origin that resolves a URL reads is what was decided.
        assert.equal(
          new URL(path, 'https://a.example').pathname.replace(/%../g, (e) => e.toUpperCase()),
          path,
        );
      }),
      { numRuns: 1000 },
    );
  });
});

test('a query is kept to the byte and decoded for matching', () => {
  const { path, search, query } = canonicalTarget('/s?q=a%20b+c&q=2&&x&%zz=%', HTTPS);
  assert.equal(path, '/s');
  assert.equal(search, '?q=a%20b+c&q=2&&x&%zz=%');
  assert.deepEqual(query, [
    ['q', 'a b c'],
    ['q', '2'],
    ['x', ''],
    ['%zz', '%'],
  ]);
});

test('the length of a target is bounded', () => {
  assert.equal(canonicalTarget(`/${'a'.repeat(8191)}`, HTTPS).path.length, 8192);
  assert.throws(() => canonicalTarget(`/${'a'.repeat(8192)}`, HTTPS), { status: 414 });
});

describe('authority', () => {
  const cases: [string, Authority, boolean][] = [
    ['a.example', HTTPS, true],
    ['A.Example', HTTPS, true],
    ['a.example:443', HTTPS, true],
    ['a.example:0443', HTTPS, true],
    ['a.example:80', HTTPS, false],
    ['a.example:', HTTPS, false],
    ['a.example.', HTTPS, false],
    ['b.example', HTTPS, false],
    ['x@a.example', HTTPS, false],
    ['a.example ', HTTPS, false],
    ['a.example', { ...HTTPS, port: 8443 }, false],
    ['a.example:8443', { ...HTTPS, port: 8443 }, true],
    ['1.2.3.4', { ...HTTPS, host: '1.2.3.4' }, true],
    ['1.2.3.04', { ...HTTPS, host: '1.2.3.4' }, false],
    ['16909060', { ...HTTPS, host: '1.2.3.4' }, false],
    ['[2606:4700::1111]', { ...HTTPS, host: '2606:4700::1111' }, true],
    ['[2606:4700:0:0::1111]:443', { ...HTTPS, host: '2606:4700::1111' }, true],
    ['2606:4700::1111', { ...HTTPS, host: '2606:4700::1111' }, false],
  ];
  for (const [value, authority, expected] of cases) {
    test(`"${value}" ${expected ? 'names' : 'does not name'} ${authority.host}:${authority.port}`, () => {
      assert.equal(namesAuthority(value, authority), expected);
    });
  }
});

test('a refused target is described without its query, in printable characters, short', () => {
  assert.equal(describeTarget('/a?token=x'), '/a');
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 2000 }), (raw) => {
      assert.match(describeTarget(raw), /^[\x21-\x7e]{0,4000}$/);
    }),
  );
});
