import { lookup } from 'node:dns/promises';
import { codeOf } from '../error-code.ts';
import { MAX_ADDRESSES, RESOLVE_MS } from '../limits.ts';
import {
  type AddressClass,
  canonicalAddress,
  classifyAddress,
  inBlocks,
  isMetadataName,
  isNeverAllowed,
} from './classify.ts';

/** Where a connection may be dialled: checked addresses only. Dialling never asks a resolver again. */
export interface Destination {
  readonly addresses: readonly { readonly address: string; readonly family: 4 | 6 }[];
  readonly port: number;
}

/** Asks the host's resolver for every address of a name. */
export type Lookup = (name: string) => Promise<readonly string[]>;

export const systemLookup: Lookup = async (name) => {
  const found = await lookup(name, { all: true, verbatim: true });
  return found.map(({ address }) => address);
};

/** A destination that must not be dialled. */
export class AddressRefused extends Error {
  readonly address: string;
  readonly addressClass: AddressClass;
  /** What would permit it; undefined when only the operator can. */
  readonly allowWith: string | undefined;

  constructor(host: string, address: string, addressClass: AddressClass) {
    const never = isNeverAllowed(addressClass);
    const leads = host === address ? `${address} is` : `${host} leads to ${address}, which is`;
    const remedy = never ? 'only the operator can map a name there (--add-host)' : 'allowed_ips must list it';
    super(`${leads} not a public address (${addressClass}); ${remedy}`);
    this.name = 'AddressRefused';
    this.address = address;
    this.addressClass = addressClass;
    this.allowWith = never ? undefined : `allowed_ips: ["${address}/${address.includes(':') ? 128 : 32}"]`;
  }
}

/** The name has no address, or the resolver did not answer in time. */
export class ResolutionFailed extends Error {
  constructor(host: string, cause: string) {
    super(`${host} could not be resolved (${cause})`);
    this.name = 'ResolutionFailed';
  }
}

interface ResolveRequest {
  readonly host: string;
  readonly literal: boolean;
  readonly port: number;
  readonly allowedIps: readonly string[];
  readonly hosts: ReadonlyMap<string, { readonly address: string; readonly port?: number }>;
  readonly lookup: Lookup;
}

/**
 * Turns what was decided into addresses to dial: resolves once and checks every address. One bad address refuses the
 * name, since an attacker who controls a zone would mix it with good ones.
 * @throws {AddressRefused} {@link ResolutionFailed}
 */
export async function resolve(request: ResolveRequest): Promise<Destination> {
  const mapped = request.hosts.get(request.host);
  if (mapped) {
    const address = canonicalAddress(mapped.address);
    if (!address) throw new ResolutionFailed(request.host, `the operator's address ${mapped.address} is none`);
    return { addresses: [withFamily(address)], port: mapped.port ?? request.port };
  }
  if (isMetadataName(request.host)) throw new AddressRefused(request.host, request.host, 'metadata');
  const found = request.literal ? [request.host] : await ask(request.host, request.lookup);
  const addresses = [...new Set(found)].map((text) => {
    const address = canonicalAddress(text) ?? text;
    const addressClass = classifyAddress(address);
    const open = addressClass === 'public' || (!isNeverAllowed(addressClass) && inBlocks(address, request.allowedIps));
    if (!open) throw new AddressRefused(request.host, address, addressClass);
    return withFamily(address);
  });
  return { addresses, port: request.port };
}

async function ask(host: string, lookup: Lookup): Promise<readonly string[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new ResolutionFailed(host, 'no answer in time')), RESOLVE_MS);
  });
  try {
    const found = await Promise.race([lookup(host), late]);
    if (found.length === 0) throw new ResolutionFailed(host, 'no address');
    if (found.length > MAX_ADDRESSES) throw new ResolutionFailed(host, `more than ${MAX_ADDRESSES} addresses`);
    return found;
  } catch (error) {
    if (error instanceof ResolutionFailed) throw error;
    throw new ResolutionFailed(host, codeOf(error));
  } finally {
    clearTimeout(timer);
  }
}

function withFamily(address: string): { address: string; family: 4 | 6 } {
  return { address, family: address.includes(':') ? 6 : 4 };
}
