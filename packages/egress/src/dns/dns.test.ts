import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import packet, { type RecordType } from 'dns-packet';
import fc from 'fast-check';
import { classifyAddress } from '../address/classify.ts';
import { Recorder } from '../record.ts';
import { allow, deny, drain, Kit, LIMIT, MemoryAudit } from '../testing/kit.ts';
import { canonicalName } from './name.ts';
import { NamePool } from './pool.ts';
import { Resolver } from './resolver.ts';

function make({ decision = allow(), capacity = 100 } = {}) {
  const audit = new MemoryAudit();
  const pool = new NamePool(capacity);
  const resolver = new Resolver(new Recorder('test', () => decision, audit), pool);
  const ask = (name: string, type: RecordType | 'ANY' | 'UNKNOWN_65' = 'A', extra: object = {}) => {
    const questions = [{ type: type as RecordType, name, ...extra }];
    const response = resolver.respond(
      packet.encode({ type: 'query', id: 99, flags: packet.RECURSION_DESIRED, questions }),
    );
    assert.ok(response);
    return packet.decode(response) as packet.DecodedPacket & { rcode: string };
  };
  return { audit, pool, resolver, ask };
}

describe('answers', LIMIT, () => {
  test('every name has an address of each family, the same every time, and is known again by it', () => {
    const { ask, pool } = make();
    const [a] = ask('Api.Example.COM').answers ?? [];
    const [b] = ask('api.example.com.').answers ?? [];
    const [six] = ask('api.example.com', 'AAAA').answers ?? [];
    const [other] = ask('other.example').answers ?? [];
    assert.ok(a?.type === 'A' && b?.type === 'A' && six?.type === 'AAAA' && other?.type === 'A');
    assert.equal(a.name, 'Api.Example.COM');
    assert.equal(a.data, b.data);
    assert.notEqual(a.data, other.data);
    assert.equal(classifyAddress(a.data), 'benchmark');
    assert.equal(classifyAddress(six.data), 'unique-local');
    assert.equal(pool.nameOf(a.data), 'api.example.com');
    assert.equal(pool.nameOf(six.data), 'api.example.com');
    assert.equal(pool.nameOf(`::ffff:${a.data}`), 'api.example.com');
  });

  test('localhost is the sandbox’s own', () => {
    const { ask, pool } = make();
    for (const name of ['localhost', 'app.localhost']) {
      const [four] = ask(name).answers ?? [];
      const [six] = ask(name, 'AAAA').answers ?? [];
      assert.equal(four?.type === 'A' && four.data, '127.0.0.1');
      assert.equal(six?.type === 'AAAA' && six.data, '::1');
    }
    assert.equal(pool.size, 0);
  });

  for (const type of ['TXT', 'MX', 'CNAME', 'NULL', 'SRV', 'ANY', 'UNKNOWN_65', 'PTR'] as const) {
    test(`${type}: no data, denied on record`, () => {
      const { ask, audit, pool } = make();
      const answer = ask('secret-data.evil.example', type);
      assert.equal(answer.rcode, 'NOERROR');
      assert.deepEqual(answer.answers, []);
      assert.equal(pool.size, 0);
      const [event] = audit.actions('dns.query', 'decision');
      assert.equal(event?.decision.effect, 'deny');
      assert.equal(event?.action.kind === 'dns.query' && event.action.name, 'secret-data.evil.example');
    });
  }

  for (const name of [
    'a b.example',
    'ex_ample!.com',
    `${'a'.repeat(60)}.`.repeat(5),
    '-a.example',
    'a-.example',
    '1.2.3.4',
  ]) {
    test(`${name.slice(0, 20)}: no such name`, () => {
      const { ask, pool } = make();
      if (name.length > 253) return assert.equal(canonicalName(name), undefined);
      assert.equal(ask(name).rcode, 'NXDOMAIN');
      assert.equal(pool.size, 0);
    });
  }

  test('a policy that denies the question, and a log that cannot be written', () => {
    assert.deepEqual(make({ decision: deny() }).ask('a.example').answers, []);
    const { ask, audit } = make();
    audit.failing = () => true;
    assert.equal(ask('a.example').rcode, 'SERVFAIL');
    audit.failing = undefined;
    assert.equal(ask('a.example').rcode, 'NOERROR');
  });

  test('another class is not implemented; another opcode neither', () => {
    const { ask, resolver } = make();
    assert.equal(ask('version.bind', 'TXT', { class: 'CH' }).rcode, 'NOTIMP');
    const status = packet.encode({ type: 'query', flags: 2 << 11, questions: [{ type: 'A', name: 'a' }] });
    assert.equal((resolver.respond(status) ?? Buffer.alloc(4)).readUInt8(3) & 15, 4);
  });
});

describe('bounds', LIMIT, () => {
  test('an exhausted pool: SERVFAIL for new names, one finding, old names live on', () => {
    const { ask, audit } = make({ capacity: 3 });
    for (const name of ['a', 'b', 'c']) assert.equal(ask(name).rcode, 'NOERROR');
    for (const name of ['d', 'e']) assert.equal(ask(name).rcode, 'SERVFAIL');
    assert.equal(ask('a').rcode, 'NOERROR');
    assert.deepEqual(audit.findings(), ['DNS names exhausted']);
  });

  test('a question is recorded once, and a flood of new ones is counted', () => {
    const { ask, audit, resolver } = make({ capacity: 10_000 });
    for (let i = 0; i < 5000; i++) ask(`n${i}.example`);
    ask('n1.example');
    assert.equal(audit.actions('dns.query', 'decision').length, 4096);
    assert.equal(resolver.unrecorded, 904);
    assert.deepEqual(audit.findings(), ['DNS questions are no longer recorded one by one']);
  });

  test('a finding that cannot be written leaves its question unanswered, and is written with the next', () => {
    const flood = make({ capacity: 10_000 });
    for (let i = 0; i < 4096; i++) flood.ask(`n${i}.example`);
    const full = make({ capacity: 1 });
    full.ask('a');
    for (const { ask, audit } of [flood, full]) {
      audit.failing = (event) => event.type === 'finding';
      assert.equal(ask('b').rcode, 'SERVFAIL');
      audit.failing = undefined;
      ask('c');
      assert.equal(audit.findings().length, 1);
    }
    assert.equal(flood.resolver.unrecorded, 1);
  });
});

describe('hostile bytes', LIMIT, () => {
  const { resolver, pool } = make({ capacity: 1_000_000 });
  const check = (message: Buffer) => {
    const response = resolver.respond(message);
    if (!response) return;
    assert.ok(message.length >= 12);
    assert.equal(response.readUInt16BE(0), message.readUInt16BE(0));
    assert.ok(packet.decode(response).flag_qr);
  };

  test('random', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => check(Buffer.from(bytes))),
      { numRuns: 2000 },
    );
  });

  test('a question with bytes changed', () => {
    const query = packet.encode({
      type: 'query',
      id: 1,
      questions: [{ type: 'A', name: 'api.example.com' }],
      additionals: [
        {
          type: 'OPT',
          name: '.',
          udpPayloadSize: 4096,
          extendedRcode: 0,
          ednsVersion: 0,
          flags: 0,
          flag_do: false,
          options: [],
        },
      ],
    });
    const change = fc.tuple(fc.nat(query.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(change, { maxLength: 6 }), fc.nat(query.length), (changes, length) => {
        const message = Buffer.from(query);
        for (const [at, value] of changes) message[at] = value;
        check(message.subarray(0, length));
        check(message);
      }),
      { numRuns: 2000 },
    );
    assert.ok(pool.size > 0);
  });

  test('responses, several questions, nothing at all', () => {
    assert.equal(
      resolver.respond(packet.encode({ type: 'response', questions: [{ type: 'A', name: 'a' }] })),
      undefined,
    );
    assert.equal(resolver.respond(Buffer.alloc(0)), undefined);
    const two = packet.encode({
      type: 'query',
      questions: [
        { type: 'A', name: 'a' },
        { type: 'A', name: 'b' },
      ],
    });
    assert.equal((resolver.respond(two) ?? Buffer.alloc(4)).readUInt8(3) & 15, 1);
  });
});

test('names: canonical or nothing', () => {
  assert.equal(canonicalName('A.Example.'), 'a.example');
  assert.equal(canonicalName('_dmarc.example'), '_dmarc.example');
  assert.equal(canonicalName('host'), 'host');
  for (const bad of [
    '',
    '.',
    'a..b',
    'a b',
    'é.example',
    '1.2.3.4',
    'a.12',
    '0x7f.1',
    'a.0x7f',
    '1234',
    'a.example..',
    `${'a'.repeat(64)}.x`,
  ]) {
    assert.equal(canonicalName(bad), undefined, bad);
  }
});

test('pool: addresses outside it, and those inside that nobody has', () => {
  const pool = new NamePool();
  assert.equal(pool.nameOf('8.8.8.8'), undefined);
  assert.equal(pool.nameOf('fd00::1'), undefined);
  assert.equal(pool.nameOf('nonsense'), undefined);
  assert.equal(pool.nameOf('198.18.0.1'), null);
  assert.equal(pool.nameOf('198.18.0.0'), null);
  assert.equal(pool.nameOf('198.19.255.255'), null);
  assert.equal(pool.nameOf('fd6e:656d:6f63:6c61::'), null);
  for (let i = 0; i < 70_000; i++) pool.addresses(`n${i}`);
  for (const i of [0, 1, 255, 256, 32_767]) {
    const found = pool.addresses(`n${i}`);
    assert.ok(found);
    assert.equal(pool.nameOf(found.v4), `n${i}`);
    assert.equal(pool.nameOf(found.v6), `n${i}`);
  }
  assert.equal(pool.size, 32_768);
});

describe('over TCP', LIMIT, () => {
  test('a connection to port 53 of any address is answered by us, in pieces too', async () => {
    const kit = await Kit.start();
    const client = await kit.connect('8.8.8.8', 53);
    const query = packet.encode({ type: 'query', id: 5, questions: [{ type: 'A', name: 'a.example' }] });
    const framed = Buffer.concat([Buffer.from([0, query.length]), query]);
    client.write(framed.subarray(0, 5));
    client.end(Buffer.concat([framed.subarray(5), framed]));
    const answer = Buffer.from(await drain(client), 'latin1');
    const length = answer.readUInt16BE(0);
    assert.equal(packet.decode(answer.subarray(2, 2 + length)).answers?.length, 1);
    assert.equal(answer.length, 2 * (2 + length));
    assert.equal(kit.audit.actions('net.connect', 'decision').length, 0);
    await kit.close();
  });

  test('anything else there is cut off', async () => {
    const kit = await Kit.start();
    const client = await kit.connect('8.8.8.8', 53);
    client.write('GET / HTTP/1.1\r\n\r\n');
    assert.equal(await drain(client), '');
    await kit.close();
  });
});
