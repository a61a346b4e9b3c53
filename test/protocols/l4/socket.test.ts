import { describe, expect, it } from 'vitest';
import { PingoraError } from '../../../src/error/lib.ts';
import { SocketAddr } from '../../../src/protocols/l4/socket.ts';

describe('SocketAddr', () => {
  it('tells an IP address and port from a path', () => {
    const v4 = SocketAddr.parse('127.0.0.1:80');
    expect([v4.kind, v4.family, v4.ip, v4.port, v4.path]).toEqual(['inet', 4, '127.0.0.1', 80, '']);
    const v6 = SocketAddr.parse('[::1]:443');
    expect([v6.kind, v6.family, v6.ip, v6.port]).toEqual(['inet', 6, '::1', 443]);
    const uds = SocketAddr.parse('/tmp/my.sock');
    expect([uds.kind, uds.family, uds.path]).toEqual(['unix', undefined, '/tmp/my.sock']);
  });

  it.each([
    '127.0.0.1',
    '127.0.0.1:65536',
    '127.0.0.1:',
    '127.0.0.01:80',
    '1.2.3:80',
    '[127.0.0.1]:80',
    '::1:80',
    '[::1',
    '[::1%eth0]:80',
    'localhost:80',
    '',
  ])('takes %j for no IP address and port', (text) => {
    expect(SocketAddr.parseInet(text)).toBeUndefined();
  });

  it.each([
    ['[2001:DB8:0:0:1:0:0:1]:80', '[2001:db8::1:0:0:1]:80'],
    ['[1:0:0:2:0:0:0:3]:80', '[1:0:0:2::3]:80'],
    ['[0:1:2:3:4:5:6:7]:80', '[0:1:2:3:4:5:6:7]:80'],
    ['[1:0:2:3:4:5:6:7]:80', '[1:0:2:3:4:5:6:7]:80'],
    ['[0:0:0:0:0:0:0:0]:80', '[::]:80'],
    ['[1::]:80', '[1::]:80'],
    ['[::ffff:c0a8:1]:80', '[::ffff:192.168.0.1]:80'],
    ['[::ffff:1.2.3.4]:80', '[::ffff:1.2.3.4]:80'],
    ['[::1.2.3.4]:80', '[::102:304]:80'],
    ['[fe80::1%3]:80', '[fe80::1%3]:80'],
    ['10.0.0.1:0080', '10.0.0.1:80'],
  ])('writes %s as %s', (text, canonical) => {
    expect(SocketAddr.parse(text).toString()).toBe(canonical);
  });

  it('orders IPv4 before IPv6 before paths, by address as a number, then by port', () => {
    const ordered = [
      '9.0.0.1:90',
      '10.0.0.1:80',
      '10.0.0.1:443',
      '[::1]:80',
      '[2::]:1',
      '[10::]:1',
      '/a.sock',
      '/b.sock',
    ];
    const sorted = ordered.toReversed().map((text) => SocketAddr.parse(text));
    sorted.sort((a, b) => a.compare(b));
    expect(sorted.map(String)).toEqual(ordered);
  });

  it('is equal to the same address, however it was written', () => {
    expect(SocketAddr.parse('[::0001]:80').equals(SocketAddr.parse('[::1]:80'))).toBe(true);
    expect(SocketAddr.parse('1.1.1.1:80').equals(SocketAddr.parse('1.1.1.1:81'))).toBe(false);
    expect(SocketAddr.unix('1.1.1.1:80').equals(SocketAddr.parse('1.1.1.1:80'))).toBe(false);
  });

  it('makes another one with another port, of an IP address only', () => {
    expect(SocketAddr.parse('[::1]:80').withPort(81).toString()).toBe('[::1]:81');
    expect(SocketAddr.parse('/a.sock').withPort(81).toString()).toBe('/a.sock');
  });

  it('refuses a path that no socket can have', () => {
    expect(() => SocketAddr.parse('/tmp/a\0b')).toThrow(PingoraError);
    expect(() => SocketAddr.parse(`/${'a'.repeat(107)}`)).toThrow('invalid UDS path');
    expect(SocketAddr.parse(`/${'a'.repeat(106)}`).kind).toBe('unix');
  });
});
