import { describe, expect, it } from 'vitest';
import { ResponseHeader } from '../../src/http/lib.ts';
import {
  generateConnectHeader,
  httpReqHeaderToWireAuthForm,
  validateConnectResponse,
} from '../../src/protocols/raw-connect.ts';

describe('generateConnectHeader', () => {
  it('asks for a tunnel to the destination', () => {
    const request = generateConnectHeader('pingora.org', 123, { foo: 'bar' });
    expect(httpReqHeaderToWireAuthForm(request)).toBe(
      'CONNECT pingora.org:123 HTTP/1.1\r\nHost: pingora.org:123\r\nfoo: bar\r\n\r\n',
    );
  });

  it('puts an IPv6 address in brackets', () => {
    expect(generateConnectHeader('::1', 443, {}).authority).toBe('[::1]:443');
  });

  it('lets no field break out of its line', () => {
    expect(() => generateConnectHeader('a.test', 1, { foo: 'bar\r\nX-Evil: 1' })).toThrow('invalid value');
    expect(() => generateConnectHeader('a.test', 1, { 'foo: bar\r\nX-Evil': '1' })).toThrow('invalid header name');
    expect(() => generateConnectHeader('a.test HTTP/1.1\r\nX-Evil: 1\r\n', 1, {})).toThrow('invalid uri');
  });
});

describe('validateConnectResponse', () => {
  it.each([200, 204, 299])('takes %i for a tunnel', (status) => {
    const response = ResponseHeader.build(status);
    expect(validateConnectResponse(response).response).toBe(response);
  });

  it.each([100, 199, 300, 404, 500])('takes %i for a refusal', (status) => {
    expect(() => validateConnectResponse(ResponseHeader.build(status))).toThrow('None 2xx code');
  });

  it('ignores a Content-Length and refuses a Transfer-Encoding', () => {
    const response = ResponseHeader.build(200);
    response.appendHeader('Content-Length', 0);
    validateConnectResponse(response);
    response.appendHeader('Transfer-Encoding', 'chunked');
    expect(() => validateConnectResponse(response)).toThrow('Invalid Transfer-Encoding presents');
  });
});
