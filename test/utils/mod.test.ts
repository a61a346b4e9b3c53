import { X509Certificate } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  CertKey,
  fingerprintOf,
  getCommonName,
  getOrganization,
  getOrganizationUnit,
  getSerial,
  parseCertificates,
} from '../../src/utils/mod.ts';
import { makeCa, makeCert, type Pem } from '../connectors/origins.ts';

let ca: Pem;
let leaf: Pem;

beforeAll(async () => {
  ca = await makeCa('Test CA');
  leaf = await makeCert(ca, 'a.test');
});

describe('a certificate', () => {
  it("gives its subject's names and its serial number", () => {
    const cert = new X509Certificate(leaf.cert);
    expect([getCommonName(cert), getOrganization(cert), getOrganizationUnit(cert)]).toEqual([
      'a.test',
      'Origins',
      undefined,
    ]);
    expect(getSerial(cert)).toMatch(/^[0-9A-F]+$/);
  });

  it('is one of several in a file', () => {
    const names = parseCertificates(`${leaf.cert}\n# the CA\n${ca.cert}`).map(getCommonName);
    expect(names).toEqual(['a.test', 'Test CA']);
    expect(parseCertificates('nothing')).toEqual([]);
  });
});

describe('CertKey', () => {
  it('is a leaf, its intermediates and a key', () => {
    const pair = CertKey.fromPem(leaf.cert + ca.cert, leaf.key);
    expect(getCommonName(pair.leaf())).toBe('a.test');
    expect(pair.intermediates().map(getCommonName)).toEqual(['Test CA']);
    expect(pair.organization()).toBe('Origins');
    expect(pair.serial()).toBe(getSerial(pair.leaf()));
  });

  it('needs a certificate', () => {
    expect(() => CertKey.fromPem('', leaf.key)).toThrow('at least one certificate');
  });

  it('never shows its key', () => {
    const pair = CertKey.fromPem(leaf.cert, leaf.key);
    expect(pair.toString()).toMatch(/^CN: a\.test,, expire: .+GMT$/);
    expect(JSON.stringify(pair)).toBe('{}');
  });

  it('has a fingerprint of the whole chain', () => {
    const alone = CertKey.fromPem(leaf.cert, leaf.key);
    const chain = CertKey.fromPem(leaf.cert + ca.cert, leaf.key);
    expect(alone.fingerprint).not.toBe(chain.fingerprint);
    expect(chain.fingerprint).toBe(fingerprintOf(parseCertificates(leaf.cert + ca.cert)));
  });
});
