/** Changes to how messages are read, counted and written. */
import type { Listed } from './entry.ts';

const EXCHANGE = 'test/proxy/exchange.test.ts';
const HOP_BY_HOP = 'test/proxy/hop-by-hop.test.ts';
const MODULES = 'test/modules/http/mod.test.ts';

export const MESSAGES: readonly Listed[] = [
  // --- how many bytes ---
  {
    name: 'the bytes of an HTTP/2 request are counted',
    file: 'src/protocols/h2/server.ts',
    text: 'this.bodyRead += data.length;',
    instead: '',
    tests: [EXCHANGE],
  },
  {
    name: 'the bytes of a response over HTTP/2 are counted',
    file: 'src/protocols/h2/server.ts',
    text: 'this.bodySent += data.length;',
    instead: '',
    tests: [EXCHANGE],
  },
  {
    name: 'the bytes that a client sends over an upgraded connection are counted',
    file: 'src/protocols/h1/body.ts',
    text: '      return undefined;\n    }\n    this.read += data.length;\n    return data;',
    instead: '      return undefined;\n    }\n    return data;',
    tests: [EXCHANGE],
  },
  {
    name: 'a body before the new protocol stays counted',
    file: 'src/protocols/h1/server.ts',
    text: 'this.bodyReader.read = read;',
    instead: '',
    tests: [EXCHANGE],
  },
  {
    name: 'the bytes that a client gets over an upgraded connection are counted, piece by piece',
    file: 'src/protocols/h1/server.ts',
    text: 'const written = this.bodyWriter.writeBody(this._stream, data);\n    this._bodyBytesSent += written ?? 0;',
    instead: 'const written = this.bodyWriter.writeBody(this._stream, data);',
    tests: [EXCHANGE],
  },
  {
    name: 'the bytes of pieces that leave together are counted',
    file: 'src/protocols/h1/server.ts',
    text: 'Buffer.concat(pieces));\n    this._bodyBytesSent += written ?? 0;',
    instead: 'Buffer.concat(pieces));',
    tests: [EXCHANGE],
  },
  {
    name: 'the bytes of a request to an HTTP/1 origin are counted',
    file: 'src/protocols/h1/client.ts',
    text: 'this.bytesSent += written ?? 0;',
    instead: '',
    tests: ['test/protocols/h1/client.test.ts'],
  },

  // --- heads ---
  {
    name: 'HTTP2-Settings goes no further over HTTP/2',
    file: 'src/protocols/h2/fields.ts',
    text: "    case 'http2-settings':\n",
    instead: '',
    tests: [HOP_BY_HOP],
  },
  {
    name: 'HTTP2-Settings goes no further over HTTP/1',
    file: 'src/protocols/h1/common.ts',
    text: "if (headers.has('http2-settings')) headers.remove('http2-settings');",
    instead: '',
    tests: [HOP_BY_HOP],
  },
  {
    name: 'HTTP2-Settings of an HTTP/2 client goes no further to an HTTP/1 origin',
    file: 'src/proxy/proxy-h1.ts',
    text: "headers.remove('http2-settings');",
    instead: '',
    tests: [HOP_BY_HOP],
  },
  {
    name: 'HTTP2-Settings among trailers goes no further',
    file: 'src/proxy/trailers.ts',
    text: "  'http2-settings',\n",
    instead: '',
    tests: [HOP_BY_HOP],
  },
  {
    name: 'a request head that comes at once and is a little over the limit is refused',
    file: 'src/protocols/h1/server.ts',
    text: 'if (parsed.size > MAX_HEADER_SIZE) throw tooLarge(buf); // it came at once',
    instead: '',
    tests: [EXCHANGE],
  },
  {
    name: 'a response head that comes at once and is a little over the limit is refused',
    file: 'src/protocols/h1/client.ts',
    text: 'if (parsed.size > MAX_HEADER_SIZE) continue; // it came at once',
    instead: '',
    tests: [EXCHANGE],
  },

  // --- (de)compression ---
  {
    name: 'a module decompresses if it is made to',
    file: 'src/protocols/http/compression/mod.ts',
    text: "return enabled && algorithm === 'Brotli' ? brotli.Decompressor.new() : null;",
    instead: 'return null;',
    tests: [MODULES],
  },
  {
    name: 'only what is told to decompress does',
    file: 'src/protocols/http/compression/mod.ts',
    text: "return enabled && algorithm === 'Brotli' ?",
    instead: "return algorithm === 'Brotli' ?",
    tests: [MODULES],
  },
  {
    name: 'the head of what was decompressed names no coding',
    file: 'src/protocols/http/compression/mod.ts',
    text: "if (action.type === 'Decompress') resp.removeHeader('Content-Encoding');",
    instead: "if (action.type === 'Decompress') {}",
    tests: [MODULES],
  },
  {
    name: 'the module that the builder makes does not decompress',
    file: 'src/modules/http/compression.ts',
    text: 'ResponseCompressionCtx.new(this.level, false)',
    instead: 'ResponseCompressionCtx.new(this.level, true)',
    tests: [MODULES],
  },
  {
    name: 'the module learns what the client accepts',
    file: 'src/modules/http/compression.ts',
    text: 'this.ctx.requestFilter(req);',
    instead: '',
    tests: [MODULES],
  },

  {
    name: 'what an HTTP/1 client had sent before it ended its side is answered',
    file: 'src/protocols/h1/server.ts',
    text: 'return readEnded && !(this.halfClose > 0 && bufferedLength > 0);',
    instead: 'return readEnded;',
    tests: ['test/proxy/half-close.test.ts'],
  },
];
