import type { Effect, Plane } from '@nemoclaw/policy';

/** OCSF fingerprint object: SHA-256 (`algorithm_id` 3), lower-case hex. */
export interface Fingerprint {
  readonly algorithm: 'SHA-256';
  readonly algorithm_id: 3;
  readonly value: string;
}

/** OCSF attestation object of the `record_integrity` profile. */
export interface Attestation {
  /** Which key signs this log's heads: `name+id`. */
  readonly authority_uid: string;
  /** Identifies this one log for its lifetime. */
  readonly chain_uid: string;
  /** Absent on the first record. */
  readonly prev_event?: { readonly uid: string; readonly type_uid: number; readonly fingerprint: Fingerprint };
  /** Over the line's bytes without this very member; see `seal`. */
  readonly fingerprint: Fingerprint;
}

/** What OCSF has no attribute for, under `unmapped.openshell`. */
export interface OpenShellDetails {
  readonly sandbox: string;
  /** An action's kind (`http.request`), or `lifecycle.*`, `config.*`, `finding`. */
  readonly kind: string;
  /** What was acted upon, in one line. */
  readonly object: string;
  readonly plane?: Plane;
  readonly phase?: 'decision' | 'outcome';
  readonly effect?: Effect;
  /** False: the policy only watches here, and a denied action went ahead. */
  readonly enforced?: boolean;
  readonly rule?: { readonly id: string; readonly name: string; readonly line?: number };
  readonly reason?: string;
  readonly allow_with?: string;
  readonly session?: string;
  /** Correlation of what this action belongs to. */
  readonly parent?: string;
  readonly exit_code?: number;
  readonly [detail: string]: unknown;
}

/**
 * A record before it is chained: an OCSF 1.9.0 event. The attributes that every record of ours has are named here;
 * those of its class (`actor`, `file`, `dst_endpoint`, `http_request`, `api`, …) follow the class definition at
 * schema.ocsf.io.
 */
export interface RecordBody {
  readonly class_uid: number;
  readonly class_name: string;
  readonly category_uid: number;
  readonly category_name: string;
  readonly activity_id: number;
  readonly activity_name: string;
  /** `class_uid` × 100 + `activity_id`. */
  readonly type_uid: number;
  readonly type_name: string;
  /** Milliseconds since 1970, by the supervisor's clock. */
  readonly time: number;
  readonly severity_id: number;
  readonly severity: string;
  readonly status_id: number;
  readonly status: string;
  readonly status_detail?: string;
  readonly message: string;
  readonly metadata: {
    readonly version: string;
    readonly product: { readonly name: string; readonly vendor_name: string; readonly version: string };
    readonly profiles: readonly string[];
    /** Place in the log, from 1. */
    readonly sequence: number;
    /** `chain_uid/sequence`. */
    readonly uid: string;
    readonly correlation_uid?: string;
    /** The log's origin, `nemoclaw.audit/<sandbox>`. */
    readonly log_name: string;
    readonly logged_time: number;
  };
  readonly unmapped: { readonly openshell: OpenShellDetails };
  readonly [attribute: string]: unknown;
}

/** One record as it stands in the log. */
export interface OcsfRecord extends RecordBody {
  readonly attestation_list: readonly [Attestation];
}

/** A record and its place in the log. */
export interface LogEntry {
  /** From 1, without gaps. */
  readonly sequence: number;
  readonly record: OcsfRecord;
}
