/** The OCSF 1.9.0 classes that our records use (schema.ocsf.io/1.9.0). */
export const OCSF_VERSION = '1.9.0';

interface EventClass {
  readonly uid: number;
  readonly name: string;
  readonly category: string;
}

const SYSTEM = 'System Activity';
const FINDINGS = 'Findings';
const NETWORK = 'Network Activity';
const DISCOVERY = 'Discovery';
const APPLICATION = 'Application Activity';

export const CLASSES = {
  file: { uid: 1001, name: 'File System Activity', category: SYSTEM },
  process: { uid: 1007, name: 'Process Activity', category: SYSTEM },
  finding: { uid: 2004, name: 'Detection Finding', category: FINDINGS },
  network: { uid: 4001, name: 'Network Activity', category: NETWORK },
  http: { uid: 4002, name: 'HTTP Activity', category: NETWORK },
  dns: { uid: 4003, name: 'DNS Activity', category: NETWORK },
  config: { uid: 5019, name: 'Device Config State Change', category: DISCOVERY },
  lifecycle: { uid: 6002, name: 'Application Lifecycle', category: APPLICATION },
  api: { uid: 6003, name: 'API Activity', category: APPLICATION },
} as const satisfies Record<string, EventClass>;

/** An activity of a class: its id and caption. */
export type Activity = readonly [id: number, name: string];

export type ClassKey = keyof typeof CLASSES;

/** The attributes that say which class and activity a record is; `type_uid` is class × 100 + activity. */
export function classify(key: ClassKey, [activity, activityName]: Activity) {
  const { uid, name, category } = CLASSES[key];
  return {
    class_uid: uid,
    class_name: name,
    category_uid: Math.floor(uid / 1000),
    category_name: category,
    activity_id: activity,
    activity_name: activityName,
    type_uid: uid * 100 + activity,
    type_name: `${name}: ${activityName}`,
  };
}

export type Severity = 'informational' | 'low' | 'medium' | 'high' | 'critical';

const SEVERITIES = {
  informational: [1, 'Informational'],
  low: [2, 'Low'],
  medium: [3, 'Medium'],
  high: [4, 'High'],
  critical: [5, 'Critical'],
} as const;

export function severityOf(severity: Severity) {
  const [id, caption] = SEVERITIES[severity];
  return { severity_id: id, severity: caption };
}

export type Status = 'success' | 'failure' | 'unknown';

const STATUSES = { success: [1, 'Success'], failure: [2, 'Failure'], unknown: [0, 'Unknown'] } as const;

export function statusOf(status: Status) {
  const [id, caption] = STATUSES[status];
  return { status_id: id, status: caption };
}
