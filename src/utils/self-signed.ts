/** A certificate made on the spot, for a first try. */
import { isIP } from 'node:net';
import { generate } from 'selfsigned';

/** A self-signed certificate and its key, PEM, for these hosts and localhost. Valid for a year. */
export async function selfSigned(hosts: readonly string[]): Promise<{ cert: string; key: string }> {
  const names = new Set(['localhost', '127.0.0.1', '::1', ...hosts.filter((host) => host !== '')]);
  const altNames = [...names].map((name) =>
    isIP(name) > 0 ? { type: 7 as const, ip: name } : { type: 2 as const, value: name },
  );
  const made = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    notAfterDate: new Date(Date.now() + 365 * 24 * 60 * 60 * 1000),
    extensions: [
      { name: 'basicConstraints', cA: false },
      { name: 'subjectAltName', altNames },
    ],
  });
  return { cert: made.cert, key: made.private };
}
