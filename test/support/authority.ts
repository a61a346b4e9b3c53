/** A certificate authority for tests. */
import { generate } from 'selfsigned';

export interface Pair {
  readonly cert: string;
  readonly key: string;
}

/** Signs certificates; `cert` is its own. */
export interface Authority extends Pair {
  /** For servers and clients of this name. */
  sign(name: string): Promise<Pair>;
}

const HOUR = 60 * 60 * 1000;

export async function authority(name: string): Promise<Authority> {
  const made = await generate([{ name: 'commonName', value: name }], {
    algorithm: 'sha256',
    keyType: 'ec',
    curve: 'P-256',
    notAfterDate: new Date(Date.now() + HOUR),
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, critical: true },
    ],
  });
  const own = { cert: made.cert, key: made.private };
  return {
    ...own,
    async sign(subject) {
      const signed = await generate([{ name: 'commonName', value: subject }], {
        algorithm: 'sha256',
        keyType: 'ec',
        curve: 'P-256',
        notAfterDate: new Date(Date.now() + HOUR),
        ca: own,
        extensions: [
          { name: 'basicConstraints', cA: false },
          { name: 'subjectAltName', altNames: [{ type: 2, value: subject }] },
        ],
      });
      return { cert: signed.cert, key: signed.private };
    },
  };
}
