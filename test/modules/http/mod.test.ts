import { brotliCompressSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { RequestHeader, ResponseHeader } from '../../../src/http/lib.ts';
import { ResponseCompression, ResponseCompressionBuilder } from '../../../src/modules/http/compression.ts';
import { type HttpModule, HttpModuleCtx, HttpModules } from '../../../src/modules/http/mod.ts';
import { ResponseCompressionCtx } from '../../../src/protocols/http/compression/mod.ts';
import { HttpTask } from '../../../src/protocols/http/mod.ts';

class First implements HttpModule {
  requestHeaderFilter(req: RequestHeader): void {
    req.insertHeader('my-filter', '1');
  }
  requestBodyFilter(body: Buffer | undefined): Buffer | undefined {
    return body && Buffer.concat([body, Buffer.from('1')]);
  }
}

class Second implements HttpModule {
  requestHeaderFilter(req: RequestHeader): void {
    if (req.headers.has('my-filter')) req.insertHeader('my-filter', '2');
    else req.insertHeader('my-other-filter', '1');
  }
  requestBodyFilter(body: Buffer | undefined): Buffer | undefined {
    return body && Buffer.concat([body, Buffer.from('2')]);
  }
}

const first = { order: () => 1, init: () => new First() };
const second = { order: () => -1, init: () => new Second() };

test('modules pass what they are given in their order, whatever the order they were added in', () => {
  const modules = HttpModules.new();
  modules.addModule(second);
  modules.addModule(first);
  const ctx = modules.buildCtx();
  const req = RequestHeader.build('GET', '/');
  ctx.requestHeaderFilter(req);
  expect(req.headers.get('my-filter')).toBe('2');
  expect(req.headers.has('my-other-filter')).toBe(false);
  expect(ctx.requestBodyFilter(Buffer.from('0'))?.toString()).toBe('012');
});

test('a module is found by its class', () => {
  const modules = HttpModules.new();
  modules.addModule(first);
  const ctx = modules.buildCtx();
  expect(ctx.get(First)).toBeInstanceOf(First);
  expect(ctx.get(Second)).toBeUndefined();
  expect(HttpModuleCtx.empty().get(First)).toBeUndefined();
});

test('each request has modules of its own', () => {
  const modules = HttpModules.new();
  modules.addModule(first);
  expect(modules.buildCtx().get(First)).not.toBe(modules.buildCtx().get(First));
});

test('two modules of one class, and a module that comes late, are refused', () => {
  const twice = HttpModules.new();
  twice.addModule(first);
  twice.addModule(first);
  expect(() => twice.buildCtx()).toThrow('duplicated filters found');
  const late = HttpModules.new();
  late.buildCtx();
  expect(() => late.addModule(first)).toThrow('cannot add module after ctx is already built');
});

test('the compression module decompresses for those who accept no coding, only if it is made to', () => {
  const packed = brotliCompressSync(Buffer.from('what the origin says'));
  const pass = (ctx: ResponseCompressionCtx) => {
    const module = new ResponseCompression(ctx);
    module.requestHeaderFilter(RequestHeader.build('GET', '/'));
    const head = ResponseHeader.build(200);
    head.insertHeader('content-type', 'text/plain');
    head.insertHeader('content-encoding', 'br');
    head.insertHeader('content-length', packed.length);
    module.responseFilter(HttpTask.Header(head, false));
    const task = HttpTask.Body(packed, true);
    const out = module.responseFilter(task) ?? task;
    return [head.headers.get('content-encoding'), head.headers.get('content-length'), out.type === 'Body' && out.data];
  };
  expect(pass(ResponseCompressionCtx.new(0, true))).toEqual([
    undefined,
    undefined,
    Buffer.from('what the origin says'),
  ]);
  expect(pass(ResponseCompressionCtx.new(0, false))).toEqual(['br', String(packed.length), packed]);
});

test('the module that the builder makes leaves a coding of the origin alone', () => {
  const modules = HttpModules.new();
  modules.addModule(ResponseCompressionBuilder.enable(6));
  const ctx = modules.buildCtx();
  ctx.requestHeaderFilter(RequestHeader.build('GET', '/'));
  const head = ResponseHeader.build(200);
  head.insertHeader('content-type', 'text/plain');
  head.insertHeader('content-encoding', 'br');
  ctx.responseFilter(HttpTask.Header(head, false));
  expect(head.headers.get('content-encoding')).toBe('br');
});

test('the compression module compresses for those who accept it, after all other modules', () => {
  expect(ResponseCompressionBuilder.enable(6).order!()).toBeLessThan(second.order());
  const modules = HttpModules.new();
  modules.addModule(ResponseCompressionBuilder.enable(6));
  const ctx = modules.buildCtx();
  expect(ctx.get(ResponseCompression)).toBeDefined();
  const req = RequestHeader.build('GET', '/');
  req.insertHeader('accept-encoding', 'gzip');
  ctx.requestHeaderFilter(req);
  const head = ResponseHeader.build(200);
  head.insertHeader('content-type', 'text/plain');
  ctx.responseFilter(HttpTask.Header(head, false));
  expect(head.headers.get('content-encoding')).toBe('gzip');
  const out = ctx.responseFilter(HttpTask.Body(Buffer.alloc(1000, 'a'), true));
  expect(out.type === 'Body' && out.data!.length < 100).toBe(true);
});
