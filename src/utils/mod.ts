/**
 * Certificates and their keys.
 *
 * `BufRef` and `KVRef`, which are in the same file of the original, are ways around Rust's borrow checker: here a
 * buffer's `subarray` does it.
 *
 * Port of `pingora-core/src/utils/mod.rs`.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';

function subjectName(cert: X509Certificate, name: string): string | undefined {
  // Node gives the subject as lines of "NAME=value"; of several the first counts, as in the original
  const prefix = `${name}=`;
  const line = cert.subject?.split('\n').find((entry) => entry.startsWith(prefix));
  return line?.slice(prefix.length);
}

/** The organization in the certificate's subject. */
export function getOrganization(cert: X509Certificate): string | undefined {
  return subjectName(cert, 'O');
}

/** The common name in the certificate's subject. */
export function getCommonName(cert: X509Certificate): string | undefined {
  return subjectName(cert, 'CN');
}

/** The organizational unit in the certificate's subject. */
export function getOrganizationUnit(cert: X509Certificate): string | undefined {
  return subjectName(cert, 'OU');
}

/** The certificate's serial number, in hexadecimal. */
export function getSerial(cert: X509Certificate): string {
  return cert.serialNumber;
}

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** All certificates of a PEM text, in order. Throws what Node throws for one that isn't a certificate. */
export function parseCertificates(pem: string): X509Certificate[] {
  return (pem.match(PEM_CERTIFICATE) ?? []).map((text) => new X509Certificate(text));
}

/** A certificate, the intermediates that lead to its root, and its private key. */
export class CertKey {
  readonly #certificates: readonly X509Certificate[];
  readonly #key: KeyObject;
  #pem: { cert: string; key: string } | undefined;
  #fingerprint: string | undefined;

  private constructor(certificates: readonly X509Certificate[], key: KeyObject) {
    this.#certificates = certificates;
    this.#key = key;
  }

  /** `certificates` starts with the leaf. Throws if there is none. */
  static new(certificates: readonly X509Certificate[], key: KeyObject): CertKey {
    if (certificates.length === 0) throw new Error('expected at least one certificate in CertKey.new');
    return new CertKey(certificates, key);
  }

  /** The same from PEM texts. Throws what Node throws for a text that isn't what it should be. */
  static fromPem(certificates: string, key: string): CertKey {
    return CertKey.new(parseCertificates(certificates), createPrivateKey(key));
  }

  /** The certificate itself: the first of the chain. */
  leaf(): X509Certificate {
    return this.#certificates[0]!;
  }

  /** Its private key. */
  key(): KeyObject {
    return this.#key;
  }

  /** What leads from the certificate to its root, without the root. */
  intermediates(): readonly X509Certificate[] {
    return this.#certificates.slice(1);
  }

  /** The organization in the certificate's subject; undefined if it names none. */
  organization(): string | undefined {
    return getOrganization(this.leaf());
  }

  /** The certificate's serial number, in hexadecimal. */
  serial(): string {
    return getSerial(this.leaf());
  }

  /** Chain and key as PEM texts, for Node's TLS. */
  toPem(): { cert: string; key: string } {
    this.#pem ??= {
      cert: this.#certificates.map((cert) => cert.toString()).join(''),
      key: this.#key.export({ type: 'pkcs8', format: 'pem' }).toString(),
    };
    return this.#pem;
  }

  /** Of the whole chain. The original tells chains apart by serial numbers, which two issuers may both give. */
  get fingerprint(): string {
    this.#fingerprint ??= fingerprintOf(this.#certificates);
    return this.#fingerprint;
  }

  /** Name and expiry; never the key. */
  toString(): string {
    const leaf = this.leaf();
    const cn = getCommonName(leaf);
    const unit = getOrganizationUnit(leaf);
    const name = cn !== undefined ? `CN: ${cn},` : unit !== undefined ? `Org Unit: ${unit},` : '';
    return `${name}, expire: ${leaf.validTo}`;
  }
}

const fingerprints = new WeakMap<readonly X509Certificate[], string>();

/** The same for lists of the same certificates only. Computed once for each list, which must not be changed after. */
export function fingerprintOf(certificates: readonly X509Certificate[]): string {
  let known = fingerprints.get(certificates);
  if (known === undefined) {
    known = certificates.map((cert) => cert.fingerprint256).join(',');
    fingerprints.set(certificates, known);
  }
  return known;
}
