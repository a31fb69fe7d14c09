import type { CompiledPolicy } from '../compile.ts';
import { enumerate, printable } from '../text.ts';
import type { Decision, HttpRequest } from '../vocabulary.ts';
import { destinationText, mostSpecific, refuseDestination, suggestAccess } from './connection.ts';
import { admit, type CompiledEndpoint } from './network.ts';
import type { CompiledRestRule } from './rest.ts';

/** An endpoint that speaks against a request: by a deny rule, or because nothing under which it falls allows it. */
interface Objection {
  readonly endpoint: CompiledEndpoint;
  readonly deny?: CompiledRestRule;
}

export function decideHttp(policy: CompiledPolicy, request: HttpRequest): Decision {
  const { endpoints, refusal } = admit(policy.network, policy.filesystem, request);
  if (refusal !== undefined) {
    // Another process behind the same socket may fall under a rule that denies; then no rule can be added that allows.
    const denied = endpoints.flat().some(({ rest }) => rest.deny.some((rule) => rule.matches(request)));
    return refuseDestination(request, refusal, denied ? undefined : suggestAccess(policy, request, request));
  }
  const objections = endpoints.flatMap((fitting) => objectionsTo(request, fitting));
  if (objections.length > 0) return refuseRequest(policy, request, objections);
  const allowing = endpoints.flat().filter(({ rest }) => rest.allow.some((rule) => rule.matches(request)));
  const endpoint = mostSpecific(allowing);
  return {
    effect: 'allow',
    rule: endpoint.rest.allow.find((rule) => rule.matches(request))?.rule ?? endpoint.rule,
    reason: `network policy "${endpoint.policy.name}" allows ${requestText(request)}`,
    enforced: true,
  };
}

/** `endpoints` are those that one process falls under. */
function objectionsTo(request: HttpRequest, endpoints: readonly CompiledEndpoint[]): Objection[] {
  const objections: Objection[] = [];
  for (const endpoint of endpoints) {
    const deny = endpoint.rest.deny.find((rule) => rule.matches(request));
    if (deny !== undefined) objections.push({ endpoint, deny });
  }
  const allowed = endpoints.some(({ rest }) => rest.allow.some((rule) => rule.matches(request)));
  return allowed ? objections : [...objections, ...endpoints.map((endpoint) => ({ endpoint }))];
}

/** A denial is only recorded, not enforced, where every endpoint that objects says `enforcement: audit`. */
function refuseRequest(policy: CompiledPolicy, request: HttpRequest, objections: readonly Objection[]): Decision {
  const enforcing = objections.filter(({ endpoint }) => endpoint.endpoint.enforcement === 'enforce');
  const enforced = enforcing.length > 0;
  const speaking = enforced ? enforcing : objections;
  const ruled = speaking.filter(({ deny }) => deny !== undefined);
  const endpoint = mostSpecific((ruled.length > 0 ? ruled : speaking).map((objection) => objection.endpoint));
  const deny = ruled.find((objection) => objection.endpoint === endpoint)?.deny;
  const allowed = speaking.flatMap((objection) => objection.endpoint.rest.allow.map(({ rule }) => rule.name));
  const because =
    deny === undefined
      ? `network policy "${endpoint.policy.name}" does not allow ${requestText(request)}: allowed are ${enumerate([...new Set(allowed)])}`
      : `network policy "${endpoint.policy.name}" denies ${requestText(request)} by its rule ${printable(deny.rule.name)}`;
  // No rule that allows can outweigh one that denies.
  const allowWith = objections.some((objection) => objection.deny !== undefined)
    ? undefined
    : suggestAccess(policy, request, request);
  return {
    effect: 'deny',
    rule: deny?.rule ?? endpoint.rule,
    reason: enforced ? because : `${because} (recorded only: enforcement is audit)`,
    enforced,
    ...(allowWith !== undefined && { allowWith }),
  };
}

/** Without the query: its values may be secrets. */
function requestText(request: HttpRequest): string {
  return `${printable(request.method)} ${printable(request.path)} on ${destinationText(request)}`;
}
