import { type Decision, permits, type Subject } from '@nemoclaw/policy';
import manifest from '../../package.json' with { type: 'json' };
import type { ActionEvent, ConfigEvent, Event, FindingEvent, LifecycleEvent, Outcome } from '../event.ts';
import { LIST_ELEMENTS, OTHER_PROCESSES } from '../limits.ts';
import { isSecretName, MASK, maskCommandLine, maskText } from '../mask.ts';
import { profilesOf, shapeOf } from './action.ts';
import { type Activity, classify, OCSF_VERSION, type Severity, type Status, severityOf, statusOf } from './classes.ts';
import { actorObject, deviceObject, processObject } from './objects.ts';
import type { RecordBody } from './record.ts';

const PRODUCT = { name: 'OpenShell', vendor_name: 'NemoClaw', version: manifest.version };

/** Where and when a record is written. */
export interface Stamp {
  readonly sandbox: string;
  /** The log's origin. */
  readonly origin: string;
  readonly chain: string;
  readonly sequence: number;
  /** Milliseconds since 1970. */
  readonly time: number;
}

/** Turns an event into an OCSF record, not yet chained. Strings may still be too long for a line. */
export function toRecord(event: Event, stamp: Stamp): RecordBody {
  switch (event.type) {
    case 'action':
      return actionRecord(event, stamp);
    case 'lifecycle':
      return lifecycleRecord(event, stamp);
    case 'config':
      return configRecord(event, stamp);
    case 'finding':
      return findingRecord(event, stamp);
  }
}

function metadata(stamp: Stamp, profiles: readonly string[], correlation?: string) {
  return {
    version: OCSF_VERSION,
    product: PRODUCT,
    profiles,
    sequence: stamp.sequence,
    uid: `${stamp.chain}/${stamp.sequence}`,
    ...(correlation === undefined ? {} : { correlation_uid: correlation }),
    log_name: stamp.origin,
    logged_time: stamp.time,
  };
}

const COMMON_PROFILES = ['host', 'record_integrity'];

function actionRecord(event: ActionEvent, stamp: Stamp): RecordBody {
  const { action, decision, outcome } = event;
  const shape = shapeOf(event);
  const permitted = permits(decision);
  const reason = maskText(decision.reason);
  const detail = outcome?.detail === undefined ? undefined : maskText(outcome.detail);
  return {
    ...classify(shape.eventClass, shape.activity),
    time: stamp.time,
    ...severityOf(actionSeverity(event)),
    ...statusOf(actionStatus(event)),
    status_detail: detail ?? reason,
    ...(outcome?.httpStatus === undefined ? {} : { status_code: String(outcome.httpStatus) }),
    message: `${verdictOf(event)} ${action.kind} ${shape.object}`,
    metadata: metadata(stamp, profilesOf(action), event.correlation),
    action_id: permitted ? 1 : 2,
    action: permitted ? 'Allowed' : 'Denied',
    ...disposition(decision),
    firewall_rule: { name: decision.rule.name, uid: decision.rule.id, type: event.plane },
    device: deviceObject(stamp.sandbox),
    actor: actorObject(action.subject),
    ...shape.attributes,
    ...measures(outcome),
    unmapped: {
      openshell: {
        sandbox: stamp.sandbox,
        kind: action.kind,
        object: shape.object,
        plane: event.plane,
        phase: event.phase,
        effect: decision.effect,
        enforced: decision.enforced,
        rule: decision.rule,
        reason,
        ...(decision.allowWith === undefined ? {} : { allow_with: maskText(decision.allowWith) }),
        ...(action.subject.session === undefined ? {} : { session: action.subject.session }),
        ...(event.parent === undefined ? {} : { parent: event.parent }),
        ...(outcome?.exitCode === undefined ? {} : { exit_code: outcome.exitCode }),
        ...otherProcesses(action.subject),
        ...shape.details,
      },
    },
  };
}

/** The first process is the actor; a socket held by several names the rest here. */
function otherProcesses(subject: Subject) {
  const others = subject.processes?.slice(1) ?? [];
  const leftOut = others.length - OTHER_PROCESSES;
  return {
    ...(others.length === 0 ? {} : { other_processes: others.slice(0, OTHER_PROCESSES).map(processObject) }),
    ...(leftOut <= 0 ? {} : { other_processes_left_out: leftOut }),
  };
}

function measures(outcome: Outcome | undefined) {
  if (outcome === undefined) return {};
  const { bytesIn, bytesOut, durationMs } = outcome;
  const traffic = {
    ...(bytesIn === undefined ? {} : { bytes_in: bytesIn }),
    ...(bytesOut === undefined ? {} : { bytes_out: bytesOut }),
  };
  return {
    ...(durationMs === undefined ? {} : { duration: Math.round(durationMs) }),
    ...(Object.keys(traffic).length === 0 ? {} : { traffic }),
  };
}

function verdictOf({ decision, phase, outcome }: ActionEvent): string {
  if (phase === 'outcome' && permits(decision)) {
    if (outcome === undefined || outcome.status === 'unknown') return 'Ended:';
    return outcome.status === 'success' ? 'Done:' : 'Failed:';
  }
  if (decision.effect === 'allow') return 'Allowed';
  if (!decision.enforced) return 'Would have been denied:';
  return decision.effect === 'ask' ? 'Needs approval:' : 'Denied';
}

function actionSeverity({ decision, outcome }: ActionEvent): Severity {
  if (decision.effect === 'deny' && decision.enforced) return 'medium';
  if (decision.effect !== 'allow' || outcome?.status === 'failure') return 'low';
  return 'informational';
}

/** A decision that lets an action go ahead says nothing yet of how it ends. */
function actionStatus({ decision, outcome }: ActionEvent): Status {
  return outcome?.status ?? (permits(decision) ? 'unknown' : 'failure');
}

function disposition(decision: Decision) {
  if (!permits(decision)) return { disposition_id: 2, disposition: 'Blocked' };
  if (decision.effect !== 'allow') return { disposition_id: 17, disposition: 'Logged' };
  return { disposition_id: 1, disposition: 'Allowed' };
}

function lifecycleRecord(event: LifecycleEvent, stamp: Stamp): RecordBody {
  const activity: Activity = event.activity === 'stop' ? [4, 'Stop'] : [3, 'Start'];
  const failed = event.activity === 'fail';
  const message = maskText(event.message);
  return {
    ...classify('lifecycle', activity),
    time: stamp.time,
    ...severityOf(failed ? 'high' : 'informational'),
    ...statusOf(failed ? 'failure' : 'success'),
    message,
    metadata: metadata(stamp, COMMON_PROFILES),
    device: deviceObject(stamp.sandbox),
    app: { ...PRODUCT, uid: stamp.sandbox },
    unmapped: {
      openshell: {
        sandbox: stamp.sandbox,
        kind: `lifecycle.${event.activity}`,
        object: message,
        ...(event.command === undefined ? {} : { command: maskCommandLine(event.command) }),
        ...(event.exitCode === undefined ? {} : { exit_code: event.exitCode }),
      },
    },
  };
}

function configRecord(event: ConfigEvent, stamp: Stamp): RecordBody {
  const message = maskText(event.message);
  const facts = Object.entries(event.facts);
  const shown = facts.slice(0, LIST_ELEMENTS).map(([name, value]): [string, string | number | boolean] => {
    if (typeof value !== 'string') return [name, value];
    return [name, isSecretName(name) ? MASK : maskText(value)];
  });
  if (facts.length > LIST_ELEMENTS) shown.push(['…', `[${facts.length - LIST_ELEMENTS} more]`]);
  return {
    ...classify('config', [1, 'Log']),
    time: stamp.time,
    ...severityOf('informational'),
    ...statusOf('success'),
    message,
    metadata: metadata(stamp, COMMON_PROFILES),
    device: deviceObject(stamp.sandbox),
    state_id: 99,
    state: 'Changed',
    unmapped: {
      openshell: {
        sandbox: stamp.sandbox,
        kind: `config.${event.subject}`,
        object: message,
        facts: Object.fromEntries(shown),
      },
    },
  };
}

function findingRecord(event: FindingEvent, stamp: Stamp): RecordBody {
  const title = maskText(event.title);
  const message = maskText(event.message);
  return {
    ...classify('finding', [1, 'Create']),
    time: stamp.time,
    ...severityOf(event.severity),
    status_id: 1,
    status: 'New',
    message: `${title}: ${message}`,
    metadata: metadata(stamp, COMMON_PROFILES, event.correlation),
    device: deviceObject(stamp.sandbox),
    finding_info: {
      uid: `${stamp.chain}/${stamp.sequence}`,
      title,
      desc: message,
      created_time: stamp.time,
    },
    is_alert: event.severity === 'high' || event.severity === 'critical',
    unmapped: { openshell: { sandbox: stamp.sandbox, kind: 'finding', object: title, reason: message } },
  };
}
