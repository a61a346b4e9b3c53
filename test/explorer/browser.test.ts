/** The page in a real Chromium, opened as a file as a reader would open it. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { buildExplorer } from '../../scripts/explorer.ts';
import type { TraceDocument } from '../../src/tracing/model.ts';
import { declaredSites } from '../../src/tracing/sites.ts';
import { type Made, makeTrace } from '../tracing/made.ts';

const { executablePath } = createRequire(import.meta.url)('../../.puppeteerrc.cjs') as { executablePath?: string };
if (executablePath === undefined)
  console.warn('no Chromium here: the tests of the trace explorer in a browser are skipped');

// A browser on a machine that does much else takes its time.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });
const PATIENCE_MS = 20_000;
const eventually = <T>(look: () => T | Promise<T>) => expect.poll(look, { timeout: PATIENCE_MS });

const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const hook = (name: string, more: Partial<Made> = {}): Made => ({
  fn: `<app as ProxyHttp>::${name}`,
  file: 'app',
  ...more,
});

/** A server that starts and answers one request; its first call is one of the port's, at its real place. */
function sample(scenario = 'sample'): TraceDocument {
  const { fn, rust, file, line } = declaredSites().find((site) => site.fn === 'Server::bootstrap')!;
  return makeTrace(
    [
      { fn, file: rust, span: { ts: { file, line }, attributes: { upgrade: false } } },
      {
        fn: 'Server::run_forever',
        calls: [
          {
            fn: 'Service::run_endpoint',
            task: 'endpoint',
            calls: [
              {
                fn: 'HttpProxy::process_request',
                span: { phase: 'request', runs: [[45, 60]] },
                calls: [
                  hook('request_filter', { span: { phase: 'request' } }),
                  hook('upstream_peer', { span: { phase: 'request', status: 'error' } }),
                  { fn: 'ProxyHttp::logging', span: { phase: 'request' } },
                ],
              },
              { fn: 'Stream::idle', span: { phase: 'request', status: 'cancelled' } },
            ],
          },
        ],
      },
    ],
    scenario,
  );
}

/** A trace of `count` calls: requests of a hundred calls each, every one a task. */
function large(count: number): TraceDocument {
  const trace = makeTrace([{ fn: 'Server::run_forever' }], 'large');
  const [first] = trace.spans;
  first!.end = null;
  for (let id = 2; id <= count; id++) {
    const at = (id - 2) % 100;
    const task = 2 + Math.floor((id - 2) / 100);
    if (at === 0) trace.tasks.push({ id: task, name: `request ${task - 1}`, spawnedBy: 1, start: id });
    const parent = at === 0 ? 1 : at % 10 === 1 ? id - at : id - 1;
    trace.spans.push({ ...first!, id, task, parent, fn: `Layer${at}::call`, start: id * 10, end: count * 10 + 10 });
  }
  return trace;
}

describe.skipIf(executablePath === undefined)('the trace explorer', () => {
  const folder = join(tmpdir(), `explorer-page-${process.pid}`);
  const site = join(folder, 'site');
  const address = pathToFileURL(join(site, 'explorer.html')).href;
  const problems: string[] = [];
  const requests: string[] = [];
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    mkdirSync(join(folder, 'traces'), { recursive: true });
    for (const trace of [sample(), sample('other'), large(10_000)]) {
      writeFileSync(join(folder, 'traces', `${trace.scenario}.json`), JSON.stringify(trace));
    }
    await buildExplorer({ traces: join(folder, 'traces'), out: site });
    browser = await chromium.launch({ executablePath: executablePath!, headless: true, args: ARGUMENTS });
  });

  afterAll(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  afterEach(async () => {
    await page?.context().close();
    expect(problems.splice(0)).toEqual([]);
    expect(requests.splice(0).filter((url) => !/^(file|data):|^http:\/\/127\.0\.0\.1:/.test(url))).toEqual([]);
  });

  async function open(hash = '', options: BrowserContextOptions = {}, url = address): Promise<void> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') problems.push(message.text());
    });
    page.on('pageerror', (error) => problems.push(error.message));
    page.on('request', (request) => requests.push(request.url()));
    await page.goto(url + hash);
    if (hash !== '') await page.locator('#work').waitFor();
  }

  const press = async (...keys: string[]) => {
    for (const key of keys) await page.keyboard.press(key);
  };
  const now = () => page.locator('#now').textContent();
  const text = (selector: string) => page.locator(selector).innerText();
  const current = () => page.locator('.call[aria-selected=true] .fn').textContent();
  const evaluate = <T>(script: string) => page.evaluate(script) as Promise<T>;

  async function drop(name: string, content: string): Promise<void> {
    const file = `new File([${JSON.stringify(content)}], ${JSON.stringify(name)})`;
    const dataTransfer = await page.evaluateHandle(`(() => {
      const transfer = new DataTransfer();
      transfer.items.add(${file});
      return transfer;
    })()`);
    await page.dispatchEvent('body', 'dragover', { dataTransfer });
    await page.dispatchEvent('body', 'drop', { dataTransfer });
  }

  describe('by keyboard alone', () => {
    test('opens a trace of the list', async () => {
      await open();
      await page.locator('#list button', { hasText: 'sample' }).focus();
      await press('Enter');
      await page.locator('#work').waitFor();
      expect(await now()).toBe('Server::bootstrap');
      expect(page.url()).toMatch(/#trace=sample$/);
      await eventually(() => evaluate('document.activeElement.id')).toBe('tree');
    });

    test('steps in, over, out and back', async () => {
      await open('#trace=sample&step=1');
      await press('ArrowRight', 'ArrowRight', 'ArrowRight');
      expect(await now()).toBe('HttpProxy::process_request');
      await press('ArrowDown');
      expect(await now()).toBe('Stream::idle');
      await press('ArrowLeft');
      expect(await now()).toBe('ProxyHttp::logging');
      await press('ArrowUp');
      expect(await now()).toBe('HttpProxy::process_request');
      await press('ArrowUp', 'ArrowUp');
      expect(await now()).toBe('Server::run_forever');
      await press('End');
      expect(await text('#counter')).toBe('step 16 of 16');
      expect(await now()).toBe('↩ Server::run_forever');
      expect(await text('.call.is-current .returned')).toBe('returned');
      await press('Home');
      expect(await text('#counter')).toBe('step 1 of 16');
    });

    test('goes from event to event and to a call’s other end', async () => {
      await open('#trace=sample&step=1');
      await press('.');
      expect(await now()).toBe('↩ Server::bootstrap');
      await press(',', 'ArrowRight', 'e');
      expect(await now()).toBe('↩ Server::run_forever');
      await press('e');
      expect(await now()).toBe('Server::run_forever');
    });

    test('folds and unfolds', async () => {
      await open('#trace=sample&fn=HttpProxy::process_request');
      await press('f');
      const folded = page.locator('.call[aria-selected=true]');
      expect(await folded.getAttribute('aria-expanded')).toBe('false');
      expect(await page.locator('.call').count()).toBe(5);
      // The next call is inside the fold, which opens for it.
      await press('ArrowRight');
      expect(await current()).toBe('<app as ProxyHttp>::request_filter');
      expect(await page.locator('.call').count()).toBe(8);
    });

    test('searches a function and goes through what it found', async () => {
      await open('#trace=sample&step=1');
      await press('/');
      await page.keyboard.type('proxyhttp');
      expect(await page.locator('#results [role=option]').count()).toBe(3);
      await press('ArrowDown', 'ArrowUp', 'Escape');
      await eventually(() => page.locator('dialog[open]').count()).toBe(0);
      await press('/');
      await page.keyboard.type('ProxyHTTP');
      await press('Enter');
      expect(await page.locator('dialog[open]').count()).toBe(0);
      const first = await now();
      await press('n');
      const second = await now();
      expect(second).not.toBe(first);
      await press('N');
      expect(await now()).toBe(first);
      expect(await text('#toast')).toMatch(/^\d of 3 calls of “ProxyHTTP”$/);
    });

    test('finds by letters, and says when there is nothing', async () => {
      await open('#trace=sample&step=1');
      await press('/');
      await page.keyboard.type('srf');
      await press('Enter');
      expect(await now()).toBe('Server::run_forever');
      await press('/');
      await page.keyboard.type('zzz');
      expect(await text('#results')).toBe('No function has these letters');
      await press('Enter', 'Escape');
      expect(await now()).toBe('Server::run_forever');
    });

    test('plays and stops', async () => {
      await open('#trace=sample&step=1');
      await press(' ');
      await eventually(now).toBe('Server::run_forever');
      await press(' ');
      expect(await page.locator('#play').getAttribute('aria-pressed')).toBe('false');
    });

    test('leaves a button its space and a field its arrows', async () => {
      await open('#trace=sample&step=1');
      await page.locator('[data-do=last]').focus();
      await press(' ');
      expect(await text('#counter')).toBe('step 16 of 16');
      expect(await page.locator('#play').getAttribute('aria-pressed')).toBe('false');
      await page.locator('#traces').focus();
      await press('ArrowUp');
      await eventually(() => text('#counter')).not.toBe('step 15 of 16');
    });

    test('shows its keys', async () => {
      await open();
      await press('?');
      expect(await text('#keys-list')).toContain('step over this call');
      await press('Escape');
      await eventually(() => page.locator('dialog[open]').count()).toBe(0);
    });

    test('reaches every control, each with a name', async () => {
      await open('#trace=sample&step=1');
      const nameless = await evaluate<string[]>(`[...document.querySelectorAll('button, a, input, select, [tabindex]')]
        .filter((e) => e.offsetParent && !(e.ariaLabel || e.title || e.textContent.trim() || e.labels?.length))
        .map((e) => e.outerHTML)`);
      expect(nameless).toEqual([]);
      const reached = new Set<string>();
      for (let i = 0; i < 60; i++) {
        await press('Tab');
        reached.add(await evaluate<string>('document.activeElement.id || document.activeElement.className'));
      }
      for (const id of [
        'traces',
        'find',
        'choose',
        'link',
        'theme',
        'help',
        'tree',
        'code',
        'lanes',
        'slider',
        'play',
      ]) {
        expect(reached).toContain(id);
      }
    });
  });

  test('is a tree to a screen reader', async () => {
    await open('#trace=sample&fn=Stream::idle');
    const tree = page.locator('#tree');
    await tree.focus();
    const active = await tree.getAttribute('aria-activedescendant');
    const row = page.locator(`#${active}`);
    expect(await row.getAttribute('role')).toBe('treeitem');
    expect(await row.getAttribute('aria-level')).toBe('3');
    expect((await row.textContent())!.replace(/\s+/g, ' ')).toContain('Stream::idle cancelled');
    expect([await row.getAttribute('aria-posinset'), await row.getAttribute('aria-setsize')]).toEqual(['2', '2']);
  });

  describe('marks', () => {
    test('errors, cancelled calls, tasks and hooks in the tree', async () => {
      await open('#trace=sample&step=1');
      expect(await page.locator('.call.status-error').innerText()).toMatch(/upstream_peer\s+app\s+error/);
      expect(await page.locator('.call.status-cancelled').innerText()).toMatch(/idle\s+cancelled/);
      expect(await text('.call .spawn')).toBe('endpoint');
    });

    test('the phase and the hook', async () => {
      await open('#trace=sample&fn=<app%20as%20ProxyHttp>::upstream_peer');
      expect(await text('.phase.is-now .phase-name span')).toBe('request');
      expect(await text('.hook.is-now')).toBe('upstream_peer');
      expect(await text('.hook.is-done')).toBe('request_filter');
      await page.locator('.hook', { hasText: 'logging' }).locator('button').click();
      expect(await now()).toBe('ProxyHttp::logging');
    });

    test('the code of the call and its place in Pingora', async () => {
      await open('#trace=sample&step=1');
      await page.locator('.line.is-first').waitFor();
      const { file, line } = sample().spans[0]!.ts!;
      expect(await text('#where .port')).toBe(`${file}:${line}`);
      expect(await text('.line.is-first .number')).toBe(String(line));
      expect(await text('.line.is-first')).toContain('bootstrap(');
      expect(await page.locator('#where a').getAttribute('href')).toBe(
        `https://github.com/cloudflare/pingora/blob/0.1.0/pingora-core/src/server/mod.rs#L${sample().spans[0]!.rust!.line}`,
      );
      expect(await text('#card')).toContain('upgrade');
    });

    test('a call without a source as such', async () => {
      const trace = sample();
      trace.spans[0]!.ts = { file: 'elsewhere/gone.ts', line: 3 };
      trace.spans[1]!.ts = null;
      await open();
      await drop('gone.json', JSON.stringify(trace));
      await eventually(() => text('#no-code')).toBe("The source of elsewhere/gone.ts isn't in this page.");
      await press('ArrowRight');
      expect(await text('#no-code')).toBe('The trace names no source for this call.');
    });
  });

  describe('by pointer', () => {
    test('a click in the tree goes to the call, one at its arrow folds it', async () => {
      await open('#trace=sample&step=1');
      await page.locator('.call', { hasText: 'logging' }).click();
      expect(await now()).toBe('ProxyHttp::logging');
      await page.locator('.call', { hasText: 'run_forever' }).locator('.twist').click();
      expect(await page.locator('.call').count()).toBe(2);
      expect(await now()).toBe('Server::run_forever');
    });

    test('a click in the lanes goes to the call', async () => {
      await open('#trace=sample&step=1');
      await page.locator('#scale-steps').click();
      expect(await page.locator('#scale-steps').getAttribute('aria-pressed')).toBe('true');
      // The first row of the first lane, below the axis and the lane's name: run_forever takes its right part.
      await page.locator('#lanes').click({ position: { x: 700, y: 22 + 18 + 9 } });
      expect(await now()).toBe('Server::run_forever');
    });

    test('the slider runs through the steps', async () => {
      await open('#trace=sample&step=1');
      await page.locator('#slider').fill('6');
      expect(await text('#counter')).toBe('step 6 of 16');
      expect(await page.locator('#slider').getAttribute('aria-valuetext')).toMatch(/^6 of 16: calls /);
    });
  });

  describe('an address', () => {
    test('leads to a step, and to a call by its name', async () => {
      await open('#trace=sample&step=5');
      expect(await text('#counter')).toBe('step 5 of 16');
      await page.goto(`${address}#trace=other&fn=Stream::idle&n=1`);
      await eventually(now).toBe('Stream::idle');
      expect(await page.locator('#traces').inputValue()).toBe('other');
    });

    test('follows the steps, and back and forward go where jumps left', async () => {
      await open('#trace=sample&step=1');
      await page.locator('.call', { hasText: 'logging' }).click();
      await page.locator('.call', { hasText: 'idle' }).click();
      await press('ArrowLeft');
      await eventually(() => page.url()).toMatch(/step=\d+$/);
      await page.goBack();
      await eventually(now).toBe('ProxyHttp::logging');
      await page.goBack();
      await eventually(now).toBe('Server::bootstrap');
      await page.goForward();
      await eventually(now).toBe('ProxyHttp::logging');
    });

    test('that leads nowhere says so', async () => {
      await open('#trace=sample&fn=Server::nothing');
      await eventually(() => text('#problem span')).toBe('no call of Server::nothing in sample');
      await page.goto(`${address}#trace=missing`);
      await eventually(() => text('#problem span')).toBe('There is no trace “missing” here');
      expect(await page.locator('#start').isVisible()).toBe(true);
    });

    test('is copied with the name of the call', async () => {
      await open('#trace=sample&step=1', { permissions: ['clipboard-read', 'clipboard-write'] });
      await page.locator('.call', { hasText: 'idle' }).click();
      await page.locator('#link').click();
      await eventually(() => text('#toast')).toBe('Link copied');
      expect(await evaluate('navigator.clipboard.readText()')).toBe(`${address}#trace=sample&fn=Stream::idle&n=1`);
    });

    test('of the folder leads to the page', async () => {
      await open('#trace=sample&fn=Stream::idle', {}, pathToFileURL(join(site, 'index.html')).href);
      expect(await now()).toBe('Stream::idle');
    });
  });

  describe('a file', () => {
    test('that is dropped is opened', async () => {
      await open();
      await drop('mine.json', JSON.stringify(makeTrace([{ fn: 'Mine::first' }, { fn: 'Mine::second' }])));
      await eventually(now).toBe('Mine::first');
      expect(page.url()).toContain('#trace=file:mine.json');
      await press('ArrowRight');
      expect(await now()).toBe('Mine::second');
    });

    test('that is chosen is opened', async () => {
      await open();
      await page.locator('#file').setInputFiles(join(folder, 'traces', 'other.json'));
      await eventually(now).toBe('Server::bootstrap');
    });

    test('that is no trace is refused in one line, and what was open stays', async () => {
      await open('#trace=sample&step=3');
      await drop('notes.txt', 'not a trace');
      await eventually(() => text('#problem span')).toMatch(/^notes\.txt: not JSON: /);
      const orphan = sample();
      orphan.spans[3]!.parent = 99;
      await drop('orphan.json', JSON.stringify(orphan));
      await eventually(() => text('#problem span')).toBe(
        "orphan.json: span 4 has the parent 99, which isn't in the trace",
      );
      await drop('next.json', '{"version": 3}');
      await eventually(() => text('#problem span')).toBe(
        'next.json: a trace of version 3; this page reads versions 1 and 2',
      );
      expect(await text('#counter')).toBe('step 3 of 16');
      await drop('good.json', JSON.stringify(sample()));
      await eventually(() => page.locator('#problem').isVisible()).toBe(false);
    });

    test('cannot bring HTML or scripts into the page', async () => {
      const evil = '<img src=x onerror="document.title=1">';
      const trace = makeTrace([{ fn: evil, span: { attributes: { [evil]: evil } } }], evil);
      trace.tasks[0]!.name = evil;
      trace.spans[0]!.ts = { file: '__proto__', line: 1 };
      trace.spans[0]!.rust = { file: 'javascript:alert(1)', line: 1 };
      await open();
      await drop(`${evil}.json`, JSON.stringify(trace));
      await eventually(now).toBe(evil);
      await press('/');
      await page.keyboard.type('img');
      expect(await page.locator('img').count()).toBe(0);
      expect(await page.locator('#where a').getAttribute('href')).toMatch(
        /^https:\/\/github\.com\/cloudflare\/pingora\//,
      );
    });
  });

  describe('ten thousand calls', () => {
    const elements = () => evaluate<number>("document.getElementsByTagName('*').length");

    test('are shown with a bounded number of elements, wherever one scrolls or steps', async () => {
      await open('#trace=large&step=1');
      expect(await evaluate("document.querySelector('#tree .virtual').clientHeight")).toBe(10_000 * 24);
      const counts = [await elements()];
      for (const share of [0.25, 0.5, 0.99]) {
        await evaluate(`tree.scrollTop = tree.scrollHeight * ${share}`);
        const row = Math.floor(10_000 * share);
        await eventually(() => page.locator('.call').last().getAttribute('id')).toMatch(/^call-/);
        await eventually(async () =>
          Number((await page.locator('.call').first().getAttribute('id'))!.slice(5)),
        ).toBeGreaterThan(row - 200);
        counts.push(await elements());
      }
      await press('End', 'ArrowLeft', 'ArrowLeft', 'ArrowUp', 'ArrowDown');
      expect(await page.locator('.call[aria-selected=true]').isVisible()).toBe(true);
      await press('k', 'f', 'j');
      counts.push(await elements());
      expect(Math.max(...counts)).toBeLessThan(1500);
    });

    test('can be searched and slid through', async () => {
      await open('#trace=large&step=1');
      await press('/');
      await page.keyboard.type('Layer99');
      await press('Enter', 'n', 'n');
      expect(await now()).toBe('Layer99::call');
      for (let step = 1; step < 20_000; step += 1999) await page.locator('#slider').fill(String(step));
      expect(await elements()).toBeLessThan(1500);
    });
  });

  describe('on a phone', () => {
    const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
    const overflow = () => evaluate<number>('document.documentElement.scrollWidth - innerWidth');
    const outside = () =>
      evaluate<string[]>(`[...document.querySelectorAll('header *, .tabs *, .lanes-bar *, footer *, .card, .where')]
        .filter((e) => e.checkVisibility() && !e.closest('.sr, svg') && e.getBoundingClientRect().right > innerWidth + 1)
        .map((e) => e.outerHTML)`);

    test('panels are tabs, and none is wider than the screen', async () => {
      await open('#trace=sample&fn=HttpProxy::process_request', phone);
      for (const [tab, panel] of [
        ['Code', '#panel-code'],
        ['Lanes', '#panel-lanes'],
        ['Phases', '#panel-phases'],
        ['Calls', '#panel-calls'],
      ] as const) {
        await page.getByRole('tab', { name: tab }).tap();
        expect(await page.locator('.panel:visible').count()).toBe(1);
        expect(await page.locator(panel).isVisible()).toBe(true);
        expect(await page.getByRole('tab', { name: tab }).getAttribute('aria-selected')).toBe('true');
        expect(await overflow()).toBe(0);
        expect(await outside()).toEqual([]);
      }
    });

    test('the buttons step, and the current call shows in a tab that was hidden', async () => {
      await open('#trace=sample&step=1', phone);
      await page.getByRole('tab', { name: 'Code' }).tap();
      await page.getByRole('button', { name: 'Step in' }).tap();
      expect(await text('#card h2')).toBe('Server::run_forever');
      await page.getByRole('tab', { name: 'Calls' }).tap();
      expect(await current()).toBe('Server::run_forever');
    });

    test('the list of traces and the keys fit', async () => {
      await open('', phone);
      expect(await overflow()).toBe(0);
      await page.getByRole('button', { name: 'Keys' }).tap();
      expect(await overflow()).toBe(0);
      expect(await evaluate<boolean>('keys.getBoundingClientRect().right <= innerWidth')).toBe(true);
    });
  });

  describe('light and dark', () => {
    const background = () => evaluate<string>('getComputedStyle(document.body).backgroundColor');

    test('come from the system until the reader chooses', async () => {
      await open('', { colorScheme: 'dark' });
      const dark = await background();
      await press('t');
      const light = await background();
      expect(light).not.toBe(dark);
      await page.reload();
      expect(await background()).toBe(light);
    });

    test('are what the system says', async () => {
      await open('', { colorScheme: 'light' });
      const light = await background();
      await page.emulateMedia({ colorScheme: 'dark' });
      expect(await background()).not.toBe(light);
    });
  });

  describe('with a running server', () => {
    let server: Server;
    let url: string;
    let streams: ServerResponse[];
    let traces: unknown[];

    beforeAll(async () => {
      server = createServer((request, response) => {
        const path = new URL(request.url!, 'http://x').pathname;
        const json = (value: unknown) =>
          response.setHeader('content-type', 'application/json').end(JSON.stringify(value));
        if (path === '/')
          response.setHeader('content-type', 'text/html').end(readFileSync(join(site, 'explorer.html')));
        else if (/^\/assets\/(?:sources|words)\.js$/.test(path))
          response.setHeader('content-type', 'text/javascript').end('');
        else if (path === '/traces') json(traces);
        else if (path === '/traces/7') json(sample('GET / 200'));
        else if (path === '/traces/8') json({ version: 3 });
        else if (path === '/events') {
          response.writeHead(200, { 'content-type': 'text/event-stream' }).write(':\n\n');
          streams.push(response);
        } else response.writeHead(404).end();
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/?live`;
    });

    afterAll(() => {
      server?.closeAllConnections();
      server?.close();
    });

    const names = () => page.locator('#requests-rows tr:visible .path').allInnerTexts();

    test('lists its traces, those that come later too, and opens them', async () => {
      streams = [];
      traces = [{ id: '6', name: 'GET /early', spans: 3 }];
      await open('', {}, url);
      await eventually(() => text('#live')).toBe('live, 1 trace');
      await eventually(() => streams.length).toBe(1);
      streams[0]!.write(`data: ${JSON.stringify({ id: '7', name: 'GET /late' })}\n\n`);
      streams[0]!.write(`event: trace\ndata: ${JSON.stringify({ id: '8', name: 'GET /bad' })}\n\n`);
      streams[0]!.write(`data: ${JSON.stringify({ id: '7', name: 'GET /late' })}\n\n`);
      await eventually(names).toEqual(expect.arrayContaining(['GET /early', 'GET /late', 'GET /bad']));
      expect(await text('#live')).toBe('live, 3 traces');
      await page.locator('#requests a', { hasText: 'GET /late' }).click();
      await eventually(now).toBe('Server::bootstrap');
      expect(page.url()).toContain('#trace=live:7');
      await page.locator('#traces').selectOption({ label: 'GET /bad' });
      await eventually(() => text('#problem span')).toBe(
        'GET /bad: a trace of version 3; this page reads versions 1 and 2',
      );
      expect(await now()).toBe('Server::bootstrap');
    });

    test('lists the newest two hundred, the newest first', async () => {
      streams = [];
      traces = Array.from({ length: 500 }, (_, i) => ({ id: i + 1, name: `request ${i + 1}` }));
      await open('', {}, url);
      await eventually(() => text('#live')).toBe('live, 500 traces');
      await eventually(async () => (await names())[0]).toBe('request 500');
      const listed = (await names()).filter((name) => name.startsWith('request '));
      expect(listed).toEqual(Array.from({ length: 200 }, (_, i) => `request ${500 - i}`));
    });

    test('narrows its requests down by status, path and duration, by keyboard alone', async () => {
      streams = [];
      const entry = (id: number, path: string, status: number | null, ms: number) => ({
        ...{ id, name: `GET ${path} ${status}`, spans: 3 },
        ...{ time: 1_790_000_000_000, method: 'GET', path, status, ms },
      });
      traces = [
        entry(1, '/cart', 200, 3),
        entry(2, '/cart/pay', 502, 1200),
        entry(3, '/<b>bold</b>', 404, 40),
        entry(4, '/gone', null, 2000),
      ];
      await open('', {}, url);
      await eventually(names).toEqual(['/gone', '/<b>bold</b>', '/cart/pay', '/cart']);
      expect(await page.locator('#requests-rows tr').nth(2).innerText()).toMatch(
        /^\d\d:\d\d:\d\d\s+GET\s+\/cart\/pay\s+502\s+1\.20 s\s+3$/,
      );
      const type = async (field: string, keys: string) => {
        await page.locator(field).focus();
        await page.keyboard.type(keys);
      };
      await type('#wanted-status', '5xx, 404');
      expect(await names()).toEqual(['/<b>bold</b>', '/cart/pay']);
      await type('#wanted-slower', '100');
      expect(await names()).toEqual(['/cart/pay']);
      expect(await text('#requests-count')).toBe('1 of 4 requests');
      // one that comes meanwhile shows if it is wanted
      await eventually(() => streams.length).toBe(1);
      streams[0]!.write(`data: ${JSON.stringify(entry(5, '/late', 503, 101))}\n\n`);
      streams[0]!.write(`data: ${JSON.stringify(entry(6, '/quick', 503, 99))}\n\n`);
      await eventually(() => text('#requests-count')).toBe('2 of 6 requests');
      expect(await names()).toEqual(['/late', '/cart/pay']);
      await page.locator('#wanted [type=reset]').focus();
      await page.keyboard.press('Enter');
      await eventually(async () => (await names()).length).toBe(6);
      await type('#wanted-path', 'CART');
      expect(await names()).toEqual(['/cart/pay', '/cart']);
    });

    test('waits for the trace that the address names', async () => {
      streams = [];
      traces = [];
      await open('', {}, `${url}#trace=live:7&fn=Stream::idle`);
      await eventually(() => streams.length).toBe(1);
      streams[0]!.write(`data: ${JSON.stringify({ id: '7' })}\n\n`);
      await eventually(now).toBe('Stream::idle');
    });
  });
});
