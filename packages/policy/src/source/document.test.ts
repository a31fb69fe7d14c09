import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { limits } from '../limits.ts';
import { formatPath, readDocument } from './document.ts';

function messages(text: string): string[] {
  return readDocument(text, 'f').problems.map(({ line, column, message }) => `${line}:${column} ${message}`);
}

test('plain data, with the line of every node', () => {
  const { value, problems, lines } = readDocument('a: 1\nb:\n  - x\n  - {c.d: yes}\n', 'f');
  assert.deepEqual(problems, []);
  assert.deepEqual(value, { a: 1, b: ['x', { 'c.d': 'yes' }] });
  assert.equal(lines.get('a'), 1);
  assert.equal(lines.get('b'), 2);
  assert.equal(lines.get('b[1]'), 4);
  assert.equal(lines.get('b[1]["c.d"]'), 4);
});

test('positions point at the key or the value, or at the nearest ancestor', () => {
  const document = readDocument('a:\n  bee: 1\n', 'f');
  assert.deepEqual(document.locate(['a', 'bee'], 'key'), { line: 2, column: 3 });
  assert.deepEqual(document.locate(['a', 'bee'], 'value'), { line: 2, column: 8 });
  assert.deepEqual(document.locate(['a', 'missing'], 'key'), { line: 1, column: 1 });
});

test('paths quote what is not a word', () => {
  assert.equal(formatPath(['network_policies', 'a.b', 'endpoints', 0]), 'network_policies["a.b"].endpoints[0]');
});

test('duplicate keys, at any depth', () => {
  assert.deepEqual(messages('a: 1\nb: {c: 1, c: 2}\na: 2\n'), [
    '2:11 the key `c` appears twice',
    '3:1 the key `a` appears twice',
  ]);
});

test('what is not one plain YAML 1.2 document', () => {
  const cases: Record<string, RegExp> = {
    '': /1:1 the policy is empty/,
    '# only a comment': /the policy is empty/,
    'a: 1\n---\nb: 2\n': /3:1 a policy file holds one YAML document|one YAML document/,
    'a: [1\n': /not valid YAML/,
    'a: !custom 1\n': /1:4 not valid YAML: Unresolved tag/,
    '%YAML 1.1\n---\na: yes\n': /YAML 1.1 is not supported/,
    '1: a\n': /1:1 a key must be text/,
    '? [a]\n: b\n': /a key must be text/,
    '__proto__: {}\n': /1:1 `__proto__` cannot be used/,
    'a: *nowhere\n': /nowhere/,
    'a: &x 1\nb: &x 2\n': /2:7 the anchor `&x` is defined twice/,
    '\t- a: 1': /not valid YAML/,
  };
  for (const [text, expected] of Object.entries(cases)) assert.match(messages(text).join('\n'), expected, text);
});

test('YAML 1.2 core values only', () => {
  const { value } = readDocument('a: yes\nb: 0o17\nc: 1_000\nd: true\ne: <<\nf: 12:30\n', 'f');
  assert.deepEqual(value, { a: 'yes', b: 15, c: '1_000', d: true, e: '<<', f: '12:30' });
});

test('aliases work, and a merge key is only a key', () => {
  const { value, problems } = readDocument('a: &x {k: 1}\nb: *x\nc: {<<: *x}\n', 'f');
  assert.deepEqual(problems, []);
  assert.deepEqual(value, { a: { k: 1 }, b: { k: 1 }, c: { '<<': { k: 1 } } });
});

test('alias bombs, self-references and deep nesting end in a problem', () => {
  const levels = Array.from({ length: 12 }, (_, level) => {
    const below = level === 0 ? 'x' : `*a${level - 1}`;
    return `a${level}: &a${level} [${Array(10).fill(below).join(', ')}]`;
  });
  assert.match(messages(levels.join('\n')).join('\n'), /more than 65536 values/);
  assert.match(messages('a: &a [*a]\n').join('\n'), /levels deep/);
  assert.match(messages(`a: ${'['.repeat(100)}${']'.repeat(100)}`).join('\n'), /levels deep|not valid YAML/);
  for (const deep of ['['.repeat(50_000), '- '.repeat(20_000), '{a: '.repeat(10_000), '? '.repeat(20_000)]) {
    assert.notEqual(messages(deep).length, 0);
  }
});

test('text over the limit is not even parsed', () => {
  assert.deepEqual(messages(`a: 1 ${'#'.repeat(limits.policyBytes)}`), ['1:1 the policy is larger than 262144 bytes']);
  assert.deepEqual(messages(`a: 1 #${'x'.repeat(limits.policyBytes - 6)}`), []);
  assert.notDeepEqual(messages(`a: 1 #${'ü'.repeat(limits.policyBytes / 2)}`), []);
});

test('never throws, and every problem has a place', () => {
  const yamlish = fc
    .array(
      fc.constantFrom(
        'a',
        ':',
        ' ',
        '\n',
        '- ',
        '{',
        '}',
        '[',
        ']',
        '&a ',
        '*a',
        '!',
        '"',
        "'",
        '|',
        '#',
        '%',
        '?',
        ',',
        '---\n',
        '\t',
      ),
    )
    .map((parts) => parts.join(''));
  fc.assert(
    fc.property(fc.oneof(yamlish, fc.string({ unit: 'binary' })), (text) => {
      for (const { line, column } of readDocument(text, 'f').problems) assert.ok(line >= 1 && column >= 1);
    }),
    { numRuns: 2000 },
  );
});
