import type { CompiledPolicy } from './compile.ts';
import { decideConnection } from './engine/connection.ts';
import { decideExec, decideRead, decideWrite } from './engine/file-actions.ts';
import { decideHttp } from './engine/http.ts';
import { defaultRule } from './engine/rule.ts';
import { decideTool } from './engine/tools.ts';
import { isHostName, normaliseHost } from './host.ts';
import { printable } from './text.ts';
import type { Action, Decision, DnsQuery, NetDatagram } from './vocabulary.ts';

/**
 * What the policy says of an action. Pure, synchronous, total: the same action always gets the same decision, and no
 * action makes it throw. What no rule allows is denied; a rule that denies outweighs every rule that allows; the order
 * of rules never matters. Where several rules lead to the decision, the most specific is named, then the first.
 */
export function decide(policy: CompiledPolicy, action: Action): Decision {
  switch (action.kind) {
    case 'process.exec':
      return decideExec(policy, action);
    case 'file.read':
      return decideRead(policy, action);
    case 'file.write':
      return decideWrite(policy, action);
    case 'net.connect':
      return decideConnection(policy, action);
    case 'http.request':
      return decideHttp(policy, action);
    case 'tool.call':
      return decideTool(policy.tools, action);
    case 'dns.query':
      return decideDns(action);
    case 'net.datagram':
      return refuseDatagram(action);
    case 'inference.request':
      return {
        effect: 'allow',
        rule: defaultRule('inference', 'configured provider'),
        reason: 'the operator chose the provider and the model',
        enforced: true,
      };
    default:
      return unknownAction(action);
  }
}

/** Answering costs nothing and tells nobody outside; a record of another type could carry data in or out. */
function decideDns({ name, type }: DnsQuery): Decision {
  const rule = defaultRule('dns', 'A and AAAA only');
  if (type !== 'A' && type !== 'AAAA') {
    const reason = `only A and AAAA questions are answered; ${printable(type)} is answered NODATA`;
    return { effect: 'deny', rule, reason, enforced: true };
  }
  if (!isHostName(normaliseHost(name))) {
    return { effect: 'deny', rule, reason: `"${printable(name)}" is not a valid host name`, enforced: true };
  }
  return { effect: 'allow', rule, reason: 'names are answered from a private pool', enforced: true };
}

function refuseDatagram({ address, port, protocol }: NetDatagram): Decision {
  const destination = `${printable(protocol)} to ${printable(address)} port ${port}`;
  return {
    effect: 'deny',
    rule: defaultRule('datagram', 'TCP only'),
    reason: `${destination} is not allowed: only TCP leaves the sandbox`,
    enforced: true,
  };
}

/** Reached only by a caller without types; an action nobody knows is not allowed. */
function unknownAction(_action: never): Decision {
  return {
    effect: 'deny',
    rule: defaultRule('action', 'unknown'),
    reason: 'the policy knows no action of this kind',
    enforced: true,
  };
}
