import { beforeAll, describe, expect, it } from 'vitest';
import { PingoraError } from '../../src/error/lib.ts';
import { SocketAddr } from '../../src/protocols/l4/socket.ts';
import { ALPN } from '../../src/protocols/mod.ts';
import { BasicPeer, Proxy as ConnectProxy, HttpPeer, PeerOptions } from '../../src/upstreams/peer.ts';
import { CertKey, parseCertificates } from '../../src/utils/mod.ts';
import { makeCa, makeCert, type Pem } from '../connectors/origins.ts';

let ca: Pem;
let otherCa: Pem;

beforeAll(async () => {
  [ca, otherCa] = await Promise.all([makeCa('A'), makeCa('B')]);
});

describe('HttpPeer', () => {
  it.each([
    ['127.0.0.1:80', '127.0.0.1:80'],
    ['[::1]:8080', '[::1]:8080'],
    ['localhost:80', '127.0.0.1:80'],
    [SocketAddr.parse('10.0.0.1:1'), '10.0.0.1:1'],
    [{ addr: SocketAddr.parse('10.0.0.2:2'), weight: 1 }, '10.0.0.2:2'],
  ])('is made of %s', (address, text) => {
    expect(HttpPeer.new(address, false, '').address().toString()).toBe(text);
  });

  it.each(['example.com:80', '127.0.0.1', '127.0.0.1:99999', ''])('is not made of %j', (address) => {
    expect(() => HttpPeer.new(address, false, '')).toThrow(PingoraError);
  });

  it('looks a name up if it is asked to', async () => {
    const peer = await HttpPeer.resolve('localhost:80', true, 'localhost');
    expect(['127.0.0.1:80', '[::1]:80']).toContain(peer.address().toString());
    expect([peer.tls(), peer.sni()]).toEqual([true, 'localhost']);
    await expect(HttpPeer.resolve('no such host.invalid:80', false, '')).rejects.toThrow('failed to resolve');
  });

  it('has the defaults of the original', () => {
    const { options } = HttpPeer.new('127.0.0.1:80', true, 'a.test');
    expect({ ...options }).toEqual({
      bindTo: undefined,
      connectionTimeout: undefined,
      totalConnectionTimeout: undefined,
      readTimeout: undefined,
      idleTimeout: undefined,
      writeTimeout: undefined,
      verifyCert: true,
      verifyHostname: true,
      alternativeCn: undefined,
      alpn: ALPN.H1,
      ca: undefined,
      tcpKeepalive: undefined,
      noHeaderEos: false,
      h2PingInterval: undefined,
      maxH2Streams: 1,
      extraProxyHeaders: {},
      curves: undefined,
      secondKeyshare: true,
      tracer: undefined,
    });
  });

  it('writes itself as the original does', () => {
    expect(HttpPeer.new('127.0.0.1:80', false, '').toString()).toBe('addr: 127.0.0.1:80, scheme: HTTP,');
    const peer = HttpPeer.newProxy('/tmp/p.sock', '10.0.0.1', 443, true, 'a.test', { 'X-A': '1' });
    expect(peer.toString()).toBe(
      'addr: 10.0.0.1:443, scheme: HTTPS,sni: a.test,proxy: next_hop: /tmp/p.sock, host: 10.0.0.1, port: 443,',
    );
    expect(HttpPeer.newUds('/tmp/a.sock', false, '').toString()).toBe('addr: /tmp/a.sock, scheme: HTTP,');
  });

  it('shares connections with an equal peer', () => {
    const make = () => {
      const peer = HttpPeer.new('127.0.0.1:80', true, 'a.test');
      peer.options.alternativeCn = 'b.test';
      // a list of the same certificates, not the same list
      peer.options.ca = parseCertificates(ca.cert);
      return peer;
    };
    expect(make().reuseHash()).toBe(make().reuseHash());
    expect(make().clone().reuseHash()).toBe(make().reuseHash());
  });

  it('shares no connection with a peer that differs in what makes it another', async () => {
    const cert = await makeCert(ca, 'client');
    const otherCert = await makeCert(ca, 'client');
    const change: ((peer: HttpPeer) => void)[] = [
      () => {},
      (peer) => {
        peer._address = SocketAddr.parse('127.0.0.1:81');
      },
      (peer) => {
        peer._address = SocketAddr.unix('/127.0.0.1:80');
      },
      (peer) => {
        peer.scheme = 'HTTP';
      },
      (peer) => {
        peer.serverName = 'b.test';
      },
      (peer) => {
        peer.proxy = new ConnectProxy('/p', 'a', 1);
      },
      (peer) => {
        peer.proxy = new ConnectProxy('/p', 'a', 1, { authorization: 'x' });
      },
      (peer) => {
        peer.proxy = new ConnectProxy('/p', 'a', 1);
        peer.options.extraProxyHeaders = { authorization: 'y' };
      },
      (peer) => {
        peer.clientCertKey = CertKey.fromPem(cert.cert, cert.key);
      },
      (peer) => {
        peer.clientCertKey = CertKey.fromPem(otherCert.cert, otherCert.key);
      },
      (peer) => {
        peer.options.verifyCert = false;
      },
      (peer) => {
        peer.options.verifyHostname = false;
      },
      (peer) => {
        peer.options.alternativeCn = 'b.test';
      },
      (peer) => {
        peer.options.ca = parseCertificates(ca.cert);
      },
      (peer) => {
        peer.options.ca = parseCertificates(otherCa.cert);
      },
      (peer) => {
        peer.options.bindTo = SocketAddr.parse('127.0.0.2:0');
      },
      (peer) => {
        peer.options.curves = 'P-256';
      },
    ];
    const keys = change.map((apply) => {
      const peer = HttpPeer.new('127.0.0.1:80', true, 'a.test');
      apply(peer);
      return peer.reuseHash();
    });
    expect(new Set(keys).size).toBe(change.length);
  });

  it('does not take a name for a setting', () => {
    // a server's name may come from a request: it must not be able to spell another peer's key
    const honest = HttpPeer.new('127.0.0.1:80', true, 'a.test');
    honest.options.alternativeCn = 'b.test';
    const forged = HttpPeer.new('127.0.0.1:80', true, 'a.test|a6:b.test');
    expect(forged.reuseHash()).not.toBe(honest.reuseHash());
    const socket = HttpPeer.newUds('/tmp/a|s', false, '');
    expect(socket.reuseHash()).not.toBe(HttpPeer.newUds('/tmp/a', true, '').reuseHash());
  });

  it('shares connections whatever the HTTP version and the timeouts are', () => {
    const peer = HttpPeer.new('127.0.0.1:80', true, 'a.test');
    const before = peer.reuseHash();
    peer.options.setHttpVersion(2, 1);
    peer.options.readTimeout = 1;
    expect(peer.reuseHash()).toBe(before);
  });
});

describe('PeerOptions', () => {
  it.each([
    [1, 1, ALPN.H1],
    [2, 1, ALPN.H2H1],
    [2, 2, ALPN.H2],
  ] as const)('takes HTTP versions up to %i, from %i', (max, min, alpn) => {
    const options = PeerOptions.new();
    options.setHttpVersion(max, min);
    expect(options.alpn).toBe(alpn);
  });

  it('writes what is set', () => {
    const options = PeerOptions.new();
    expect(options.toString()).toBe('verify_cert: true,verify_hostname: true,alpn: H1,');
    options.bindTo = SocketAddr.parse('127.0.0.2:0');
    options.connectionTimeout = 250;
    options.totalConnectionTimeout = 1500;
    options.verifyCert = false;
    options.alternativeCn = 'b.test';
    options.tcpKeepalive = { idle: 60_000, interval: 5000, count: 3 };
    options.noHeaderEos = true;
    options.h2PingInterval = 10_000;
    expect(options.toString()).toBe(
      'bind_to: 127.0.0.2:0,conn_timeout: 250ms,total_conn_timeout: 1.5s,verify_hostname: true,alt_cn: b.test,' +
        'alpn: H1,tcp_keepalive: 60s/5s/3,no_header_eos: true,h2_ping_interval: 10s,',
    );
  });
});

describe('BasicPeer', () => {
  it('speaks TLS once it has a server name', () => {
    const peer = BasicPeer.new('127.0.0.1:443');
    expect(peer.tls()).toBe(false);
    const plain = peer.reuseHash();
    peer.serverName = 'a.test';
    expect(peer.tls()).toBe(true);
    expect(peer.reuseHash()).not.toBe(plain);
  });
});
