import { generateKeyPair, type KeyObject } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import { promisify } from 'node:util';
import { MAX_CACHED_CERTIFICATES } from '../limits.ts';
import { makeCertificate } from './certificate.ts';

const HOUR = 60 * 60_000;
const DAY = 24 * HOUR;
const AUTHORITY_LIFE = 365 * DAY;
const LEAF_LIFE = 7 * DAY;
/** A clock inside that is a little behind must not see a certificate of the future. */
const BACKDATE = HOUR;

const generate = promisify(generateKeyPair);

/** A certificate (followed by its authority's) and its private key, PEM. */
export interface Leaf {
  readonly cert: string;
  readonly key: string;
}

interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

interface Cached {
  readonly leaf: Leaf;
  readonly context: SecureContext;
  readonly renewAt: number;
}

/**
 * The certificate authority of one sandbox (ECDSA P-256). Its key lives in this object and nowhere else; leaf
 * certificates are made as names are met, for a week each, and share one key.
 */
export class CertificateAuthority {
  /** The authority's own certificate, for the bundle that programs inside trust. */
  readonly certificatePem: string;
  readonly #commonName: string;
  readonly #keys: KeyPair;
  readonly #leafKeys: KeyPair;
  readonly #leafKeyPem: string;
  readonly #notAfter: number;
  /** Least recently used first. */
  readonly #cache = new Map<string, Cached>();

  /** @param commonName what a person sees when they look at the certificate; 64 characters of it are used. */
  static async create(commonName: string): Promise<CertificateAuthority> {
    const [keys, leafKeys] = await Promise.all([
      generate('ec', { namedCurve: 'P-256' }),
      generate('ec', { namedCurve: 'P-256' }),
    ]);
    return new CertificateAuthority(commonName, keys, leafKeys);
  }

  private constructor(commonName: string, keys: KeyPair, leafKeys: KeyPair) {
    this.#commonName = commonName;
    this.#keys = keys;
    this.#leafKeys = leafKeys;
    this.#leafKeyPem = leafKeys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    this.#notAfter = Date.now() + AUTHORITY_LIFE;
    this.certificatePem = this.#make(undefined, this.#notAfter);
  }

  /** Certificate and key for a host name or an address (both in canonical form). */
  async leaf(host: string): Promise<Leaf> {
    return this.#entry(host).leaf;
  }

  /** The same, ready for a TLS server. */
  contextFor(host: string): SecureContext {
    return this.#entry(host).context;
  }

  #entry(host: string): Cached {
    const known = this.#cache.get(host);
    const entry = known && known.renewAt > Date.now() ? known : this.#issue(host);
    this.#cache.delete(host);
    this.#cache.set(host, entry);
    for (const oldest of this.#cache.keys()) {
      if (this.#cache.size <= MAX_CACHED_CERTIFICATES) break;
      this.#cache.delete(oldest);
    }
    return entry;
  }

  #issue(host: string): Cached {
    const now = Date.now();
    const cert = `${this.#make(host, Math.min(now + LEAF_LIFE, this.#notAfter))}${this.certificatePem}`;
    const leaf = { cert, key: this.#leafKeyPem };
    return { leaf, context: createSecureContext({ ...leaf, minVersion: 'TLSv1.2' }), renewAt: now + LEAF_LIFE / 2 };
  }

  #make(host: string | undefined, notAfter: number): string {
    return makeCertificate({
      subject: host ?? this.#commonName,
      issuer: this.#commonName,
      publicKey: host === undefined ? this.#keys.publicKey : this.#leafKeys.publicKey,
      issuerPublicKey: this.#keys.publicKey,
      issuerPrivateKey: this.#keys.privateKey,
      notBefore: new Date(Date.now() - BACKDATE),
      notAfter: new Date(notAfter),
      host,
    });
  }
}
