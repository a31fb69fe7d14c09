import type {
  Action,
  DnsQuery,
  FileRead,
  FileWrite,
  HttpRequest,
  InferenceRequest,
  NetConnect,
  NetDatagram,
  ProcessExec,
  ToolCall,
} from '@nemoclaw/policy';
import { permits } from '@nemoclaw/policy';
import type { ActionEvent } from '../event.ts';
import { maskArguments, maskCommandLine, maskText } from '../mask.ts';
import type { Activity, ClassKey } from './classes.ts';
import { baseName, endpointObject, type FileType, fileObject, hostText } from './objects.ts';
import { shortList } from './text.ts';

/** What a kind of action contributes to its record. */
export interface ActionShape {
  readonly eventClass: ClassKey;
  readonly activity: Activity;
  /** What is acted upon, in one line, masked. */
  readonly object: string;
  /** Attributes of the class. */
  readonly attributes: Readonly<Record<string, unknown>>;
  /** For `unmapped.openshell`. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/** The OCSF class, activity and attributes of an action. */
export function shapeOf(event: ActionEvent): ActionShape {
  const { action } = event;
  switch (action.kind) {
    case 'process.exec':
      return processExec(event, action);
    case 'file.read':
      return fileRead(action);
    case 'file.write':
      return fileWrite(action);
    case 'net.connect':
      return netConnect(event, action);
    case 'net.datagram':
      return netDatagram(event, action);
    case 'dns.query':
      return dnsQuery(event, action);
    case 'http.request':
      return httpRequest(event, action);
    case 'inference.request':
      return inferenceRequest(action);
    case 'tool.call':
      return toolCall(action);
  }
}

function processExec(event: ActionEvent, action: ProcessExec): ActionShape {
  const commandLine = maskCommandLine(action.argv);
  const exitCode = event.outcome?.exitCode;
  const ended = event.phase === 'outcome' && exitCode !== undefined;
  const pid = action.subject.processes?.[0]?.pid;
  return {
    eventClass: 'process',
    activity: ended ? [2, 'Terminate'] : [1, 'Launch'],
    object: commandLine === '' ? action.path : `${action.path} (${commandLine})`,
    attributes: {
      process: {
        ...(pid === undefined ? {} : { pid }),
        name: baseName(action.path),
        file: fileObject(action.path, 'file'),
        cmd_line: commandLine,
        ...(action.cwd === undefined ? {} : { working_directory: action.cwd }),
      },
      launch_type_id: 3,
      launch_type: 'Exec',
      ...(exitCode === undefined ? {} : { exit_code: exitCode }),
    },
  };
}

function fileRead(action: FileRead): ActionShape {
  return {
    eventClass: 'file',
    activity: [2, 'Read'],
    object: action.path,
    attributes: { file: fileObject(action.path, 'unknown') },
  };
}

const CREATE: Activity = [1, 'Create'];
const UPDATE: Activity = [3, 'Update'];
const DELETE: Activity = [4, 'Delete'];
const RENAME: Activity = [5, 'Rename'];
const SET_SECURITY: Activity = [7, 'Set Security'];

const FILE_OPERATIONS: Readonly<Record<FileWrite['operation'], readonly [Activity, FileType]>> = {
  create: [CREATE, 'file'],
  write: [UPDATE, 'file'],
  truncate: [UPDATE, 'file'],
  delete: [DELETE, 'unknown'],
  rename: [RENAME, 'unknown'],
  link: [CREATE, 'unknown'],
  symlink: [CREATE, 'symlink'],
  mkdir: [CREATE, 'folder'],
  rmdir: [DELETE, 'folder'],
  chmod: [SET_SECURITY, 'unknown'],
  chown: [SET_SECURITY, 'unknown'],
};

function fileWrite(action: FileWrite): ActionShape {
  const [activity, type] = FILE_OPERATIONS[action.operation];
  const { path, target, operation } = action;
  return {
    eventClass: 'file',
    activity,
    object: target === undefined ? `${operation} ${path}` : `${operation} ${path} -> ${target}`,
    attributes: {
      file: fileObject(path, type),
      ...(target === undefined ? {} : { file_result: fileObject(target, type) }),
    },
    details: { operation },
  };
}

const OUTBOUND = { direction_id: 2, direction: 'Outbound' };
const PROTOCOL_NUMBERS: Readonly<Record<string, number>> = { icmp: 1, tcp: 6, udp: 17 };

function connectionActivity(event: ActionEvent): Activity {
  if (!permits(event.decision)) return [5, 'Refuse'];
  if (event.phase === 'decision') return [1, 'Open'];
  return event.outcome?.status === 'failure' ? [4, 'Fail'] : [2, 'Close'];
}

function netConnect(event: ActionEvent, action: NetConnect): ActionShape {
  return {
    eventClass: 'network',
    activity: connectionActivity(event),
    object: `${hostText(action.host)}:${action.port}`,
    attributes: {
      src_endpoint: { name: action.subject.sandbox },
      dst_endpoint: endpointObject(action.host, action.port),
      connection_info: { ...OUTBOUND, protocol_name: 'tcp', protocol_num: 6, uid: event.correlation },
    },
  };
}

function netDatagram(event: ActionEvent, action: NetDatagram): ActionShape {
  const number = PROTOCOL_NUMBERS[action.protocol] ?? Number(action.protocol);
  return {
    eventClass: 'network',
    activity: permits(event.decision) ? [6, 'Traffic'] : [5, 'Refuse'],
    object: `${action.protocol} ${hostText(action.address)}:${action.port}`,
    attributes: {
      src_endpoint: { name: action.subject.sandbox },
      dst_endpoint: endpointObject(action.address, action.port),
      connection_info: {
        ...OUTBOUND,
        protocol_name: action.protocol,
        ...(Number.isInteger(number) ? { protocol_num: number } : {}),
      },
    },
  };
}

function dnsQuery(event: ActionEvent, action: DnsQuery): ActionShape {
  return {
    eventClass: 'dns',
    activity: event.phase === 'decision' ? [1, 'Query'] : [2, 'Response'],
    object: `${action.type} ${action.name}`,
    attributes: {
      src_endpoint: { name: action.subject.sandbox },
      query: { hostname: action.name, type: action.type, class: 'IN' },
    },
  };
}

const HTTP_ACTIVITIES: Readonly<Record<string, Activity>> = {
  CONNECT: [1, 'Connect'],
  DELETE: [2, 'Delete'],
  GET: [3, 'Get'],
  HEAD: [4, 'Head'],
  OPTIONS: [5, 'Options'],
  POST: [6, 'Post'],
  PUT: [7, 'Put'],
  TRACE: [8, 'Trace'],
  PATCH: [9, 'Patch'],
};

/** The query is left out altogether: its values may be secrets, and so may its names. */
function httpRequest(event: ActionEvent, action: HttpRequest): ActionShape {
  const { scheme, host, port, method, path } = action;
  const usual = port === (scheme === 'https' ? 443 : 80);
  const url = `${scheme}://${hostText(host)}${usual ? '' : `:${port}`}${path}`;
  const status = event.outcome?.httpStatus;
  return {
    eventClass: 'http',
    activity: (Object.hasOwn(HTTP_ACTIVITIES, method) ? HTTP_ACTIVITIES[method] : undefined) ?? [99, method],
    object: `${method} ${url}`,
    attributes: {
      src_endpoint: { name: action.subject.sandbox },
      dst_endpoint: endpointObject(host, port),
      connection_info: { ...OUTBOUND, protocol_name: 'tcp', protocol_num: 6 },
      http_request: { http_method: method, url: { scheme, hostname: host, port, path, url_string: url } },
      ...(status === undefined ? {} : { http_response: { code: status } }),
    },
  };
}

function inferenceRequest(action: InferenceRequest): ActionShape {
  const { provider, model, requestedModel, streaming, subject } = action;
  return {
    eventClass: 'api',
    activity: [1, 'Create'],
    object: `${provider}/${model}`,
    attributes: {
      src_endpoint: { name: subject.sandbox },
      api: { operation: 'inference', service: { name: provider } },
      ai_model: { name: model, ai_provider: provider },
      message_context: {
        ai_role_id: 2,
        ai_role: 'Assistant',
        service: { name: provider },
        ...(subject.session === undefined ? {} : { uid: subject.session }),
      },
    },
    details: { requested_model: requestedModel, streaming, tools: shortList(action.tools) },
  };
}

/** The arguments that say what a tool call is about, in the order of interest. */
const TELLING_ARGUMENTS = ['command', 'path', 'file_path', 'url', 'query', 'action', 'target', 'name'];
const TELLING_CHARS = 200;

/** The most telling argument of a call, masked and on one line; '' where none is text. */
function tellingArgument(values: Readonly<Record<string, unknown>> | undefined): string {
  for (const name of TELLING_ARGUMENTS) {
    const value = values?.[name];
    if (typeof value === 'string') return ` ${maskText(value).replace(/\s+/g, ' ').slice(0, TELLING_CHARS)}`;
  }
  return '';
}

function toolCall(action: ToolCall): ActionShape {
  const { tool, via, callId, subject } = action;
  const about = tellingArgument(action.arguments);
  return {
    eventClass: 'api',
    activity: [99, 'Call'],
    object: via === undefined ? `${tool}${about}` : `${tool}${about} (via ${via})`,
    attributes: {
      src_endpoint: { name: subject.sandbox },
      api: { operation: tool, group: { name: 'tool' }, request: { uid: callId } },
      resources: [{ name: tool, type: 'tool' }],
      message_context: {
        ai_role_id: 3,
        ai_role: 'Tool',
        service: { name: tool },
        ...(subject.session === undefined ? {} : { uid: subject.session }),
      },
    },
    details: {
      ...(via === undefined ? {} : { via }),
      ...(action.arguments === undefined ? {} : { arguments: maskArguments(action.arguments) }),
    },
  };
}

/** Profiles of OCSF that an action's record applies. */
export function profilesOf(action: Action): readonly string[] {
  const common = ['host', 'record_integrity', 'security_control'];
  return action.kind === 'inference.request' || action.kind === 'tool.call' ? [...common, 'ai_operation'] : common;
}
