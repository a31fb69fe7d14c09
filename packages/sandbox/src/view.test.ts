import assert from 'node:assert/strict';
import { posix } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { LaunchError } from './error.ts';
import { fakeHost } from './testing/fake-host.ts';
import { testPolicy, testSpec } from './testing/fixture.ts';
import { type Agent, buildView, type View, within } from './view.ts';

const user: Agent = { uid: 1000, gid: 1000, privileged: false };
const host = fakeHost({
  '/usr/bin': {},
  '/usr/lib': {},
  '/bin': { link: 'usr/bin' },
  '/lib': { link: 'usr/lib' },
  '/etc/alternatives': {},
  '/home/u/p/.git/hooks': {},
  '/home/u/p/a/b/c': {},
  '/home/u/p/file': { kind: 'other' },
  '/home/u/link': { link: '/data' },
  '/data/x': {},
  '/srv': {},
  '/var/tmp': { mode: 0o1777 },
  '/tmp': {},
});

const view = (readOnly: string[], readWrite: string[] = [], more = {}, agent = user): View =>
  buildView(
    testSpec('/home/u/p', ['true'], { policy: testPolicy({ readOnly, readWrite, includeWorkdir: false }), ...more }),
    agent,
    host,
  );
const lines = ({ entries }: View) =>
  entries
    .filter(({ target }) => target !== '/sandbox')
    .map((entry) => {
      if (entry.kind === 'symlink') return `${entry.target} -> ${entry.to}`;
      const source = entry.kind === 'bind' && entry.source !== entry.target ? ` from ${entry.source}` : '';
      return `${entry.target}${source} ${entry.write ? 'rw' : 'ro'}${entry.kind === 'tmpfs' ? ' tmpfs' : ''}`;
    });

test('system links stay links when what they lead to is listed, and become directories when it is not', () => {
  assert.deepEqual(lines(view(['/usr', '/bin', '/lib', '/lib64'])), ['/bin -> usr/bin', '/lib -> usr/lib', '/usr ro']);
  assert.deepEqual(lines(view(['/bin'])), ['/bin from /usr/bin ro']);
  assert.deepEqual(lines(view(['/home/u/link'])), ['/home/u/link from /data ro']);
});

test('what the parent shows already is not mounted again', () => {
  assert.deepEqual(lines(view(['/usr', '/usr/lib', '/usr/bin'])), ['/usr ro']);
});

test('read-only under read-write, with the way there pinned, and read-write under read-only', () => {
  assert.deepEqual(lines(view(['/home/u/p/a/b/c'], ['/home/u/p'])), [
    '/home/u/p rw',
    '/home/u/p/a rw',
    '/home/u/p/a/b rw',
    '/home/u/p/a/b/c ro',
  ]);
  assert.deepEqual(lines(view(['/home/u/p'], ['/home/u/p/a/b'])), ['/home/u/p ro', '/home/u/p/a/b rw']);
});

test('listed for both, a path is read-only', () => {
  assert.deepEqual(lines(view(['/srv'], ['/srv'])), ['/srv ro']);
});

test('the workdir is there when the policy includes it, and the explicit list wins', () => {
  const spec = (readOnly: string[]) =>
    testSpec('/home/u/p', ['true'], { policy: testPolicy({ readOnly, readWrite: [] }) });
  assert.deepEqual(lines(buildView(spec([]), user, host)), ['/home/u/p rw']);
  assert.deepEqual(lines(buildView(spec(['/home/u/p']), user, host)), ['/home/u/p ro']);
});

test('special places are not the host’s', () => {
  const special = view(['/etc', '/proc', '/dev/urandom', '/proc/cpuinfo'], ['/tmp', '/dev/null', '/dev/shm/x']);
  assert.deepEqual(lines(special), ['/tmp rw tmpfs', '/etc/alternatives ro']);
  assert.equal(special.etc, true);
  assert.equal(special.procWritable, false);
  assert.equal(view([], ['/proc']).procWritable, true);
});

test('the home is fresh unless one is given, and listed for reading it is read-only', () => {
  const home = (value: View) => value.entries.find(({ target }) => target === '/sandbox');
  assert.deepEqual(home(view([])), { kind: 'tmpfs', target: '/sandbox', write: true, directory: true });
  assert.deepEqual(home(view(['/sandbox'], [], { home: '/srv' })), {
    kind: 'bind',
    target: '/sandbox',
    source: '/srv',
    write: false,
    directory: true,
  });
  assert.deepEqual(lines(view([], ['/sandbox/cache'])), ['/sandbox/cache rw tmpfs']);
});

test('what cannot be is refused, and the message says what to do', () => {
  const refused = (readOnly: string[], readWrite: string[], more: object, message: RegExp) =>
    assert.throws(
      () => view(readOnly, readWrite, more),
      (error: unknown) => error instanceof LaunchError && message.test(error.message),
    );
  refused(['/'], [], {}, /root directory cannot be listed/);
  refused(['usr'], [], {}, /not an absolute, normal path/);
  refused(['/usr/../etc'], [], {}, /Write it as \/etc/);
  refused(['/missing'], [], {}, /\/missing does not exist.*\n.*best_effort/);
  refused([], ['/etc'], {}, /cannot be writable/);
  refused(['/dev/kvm'], [], {}, /devices of the host are not available/);
  refused(['/dev'], ['/dev/sda'], {}, /\/dev\/sda/);
  refused([], [], { mounts: [{ source: '/data', target: '/d' }] }, /does not list it\n.*Add \/d/);
  refused(['/etc'], [], { mounts: [{ source: '/data', target: '/etc' }] }, /nothing can be mounted at \/etc/);
  refused(
    ['/usr', '/usr/nowhere'],
    [],
    { mounts: [{ source: '/data', target: '/usr/nowhere' }] },
    /no place inside \/usr/,
  );
});

test('under best effort what is missing is left out with a warning', () => {
  const policy = testPolicy(
    { readOnly: ['/missing', '/usr'], readWrite: [] },
    { landlock: { compatibility: 'best_effort' } },
  );
  const found = buildView(testSpec('/home/u/p', ['true'], { policy }), user, host);
  assert.deepEqual(lines(found), ['/usr ro', '/home/u/p rw']);
  assert.deepEqual(found.warnings, ['/missing does not exist and is left out']);
});

test('what is hidden is empty, wherever it would show, and its parents are pinned', () => {
  const hidden = ['/home/u/p/a/b', '/nowhere'];
  assert.deepEqual(lines(view([], ['/home/u/p'], { hidden })), [
    '/home/u/p rw',
    '/home/u/p/a rw',
    '/home/u/p/a/b ro tmpfs',
  ]);
  assert.deepEqual(lines(view(['/usr'], [], { hidden })), ['/usr ro']);
  const elsewhere = { hidden, mounts: [{ source: '/home/u', target: '/m' }] };
  assert.deepEqual(lines(view(['/m'], [], elsewhere)), ['/m from /home/u ro', '/m/p/a/b ro tmpfs']);
  assert.throws(() => view(['/home/u/p/a/b/c'], [], { hidden }), /which no sandbox may see/);
});

test('as root the agent owns what it is given, and no more', () => {
  const root: Agent = { uid: 60999, gid: 60999, privileged: true };
  const owners = (value: View) =>
    value.entries.filter((entry) => entry.kind === 'bind' && entry.owner).map(({ target }) => target);
  const policy = testPolicy({ readOnly: ['/usr', '/home/u/p/a'], readWrite: ['/srv', '/var/tmp'] });
  const spec = testSpec('/home/u/p', ['true'], { policy });
  assert.deepEqual(owners(buildView(spec, root, host)), ['/srv', '/home/u/p', '/home/u/p/a']);
  assert.deepEqual(owners(buildView(spec, user, host)), []);
});

test('every listed path gets its access, whatever the nesting, and mount points come in order', () => {
  const part = fc.constantFrom('a', 'b', 'c');
  const path = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => `/t/${parts.join('/')}`);
  const paths = fc.array(path, { maxLength: 8 });
  const all: Record<string, object> = {};
  for (const a of 'abc')
    for (const b of 'abc') for (const c of 'abc') for (const d of 'abc') all[`/t/${a}/${b}/${c}/${d}`] = {};
  const tree = fakeHost(all);
  fc.assert(
    fc.property(paths, paths, (readOnly, readWrite) => {
      const policy = testPolicy({ includeWorkdir: false, readOnly, readWrite });
      const { entries } = buildView(testSpec('/t/a', ['true'], { policy }), user, tree);
      const nearest = (target: string) =>
        entries
          .filter((entry) => within(target, entry.target))
          .reduce((x, y) => (y.target.length > x.target.length ? y : x));
      for (const target of [...readOnly, ...readWrite]) {
        const entry = nearest(target);
        assert.ok(entry.kind === 'bind');
        assert.equal(posix.join(entry.source, target.slice(entry.target.length)), target);
        assert.equal(entry.write, !readOnly.includes(target), target);
      }
      entries.forEach((entry, i) => {
        for (const later of entries.slice(i + 1)) assert.ok(!within(entry.target, later.target));
        // A read-only entry below a writable one: no directory on the way can be moved.
        if (entry.kind !== 'bind' || entry.write) return;
        const parent = posix.dirname(entry.target);
        if (entries.some((other) => other.kind === 'bind' && within(parent, other.target))) {
          const above = nearest(parent);
          assert.ok(above.kind === 'bind' && (!above.write || above.target === parent));
        }
      });
    }),
    { numRuns: 300 },
  );
});
