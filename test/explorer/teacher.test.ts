/** What explains a step, in a real Chromium: cards, wire, state, tours, levels, comparisons, Rust. */
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { count } from '../../explorer/format.ts';
import { Steps } from '../../explorer/steps.ts';
import { tours } from '../../explorer/tours.ts';
import { buildExplorer } from '../../scripts/explorer.ts';
import { findScenario } from '../../src/scenarios/index.ts';
import type { TraceDocument, TraceEvent } from '../../src/tracing/model.ts';
import { runScenario } from '../support/scenario.ts';
import { exchange } from './exchange.ts';

const { executablePath } = createRequire(import.meta.url)('../../.puppeteerrc.cjs') as { executablePath?: string };

vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 });
const PATIENCE_MS = 20_000;
const eventually = <T>(look: () => T | Promise<T>) => expect.poll(look, { timeout: PATIENCE_MS });

/** 10,000 calls with 5,000 reads and writes. */
function large(): TraceDocument {
  const trace = exchange('large');
  const first = { ...trace.spans[1]!, in: { request: 'GET / HTTP/1.1' } };
  const { events = [] } = trace;
  const bytes = events.find((event) => event.kind === 'bytes')!;
  const spans = [trace.spans[0]!];
  const told: TraceDocument['events'] = [];
  for (let id = 2; id <= 10_000; id++) {
    spans.push({ ...first, id, parent: 1, task: 1, fn: `Layer${id % 50}::call`, start: id * 10, end: id * 10 + 8 });
    if (id % 2 === 0) told.push({ ...bytes, span: id, time: id * 10 + 1 } as typeof bytes);
  }
  return { ...trace, spans, tasks: [trace.tasks[0]!], events: told };
}

/** What the panels say at a step. */
interface Shown {
  messages: string[];
  connections: string[];
  places: string[];
  machines: string[];
  pool: string[];
}

/** What they have to say once the events for which `happened` says so have happened. */
function shownOf(trace: TraceDocument, happened: (event: TraceEvent) => boolean): Shown {
  const { connections = [], events = [] } = trace;
  const side = (id: number) => (connections.find((one) => one.id === id)!.side === 'downstream' ? 'client' : 'origin');
  const moved = new Map<number, { in: number; out: number }>();
  const places = new Map<string, string>();
  const machines = new Map<string, string>();
  const messages: string[] = [];
  let pool: string[] = [];
  const did: Record<string, string> = { put: 'one was put in', get: 'one was taken', miss: 'none was there' };
  for (const event of events.filter(happened)) {
    if (event.kind === 'bytes') {
      const who = side(event.connection);
      messages.push(`${event.way === 'in' ? `${who} → proxy` : `proxy → ${who}`}, ${count(event.length, 'byte')}`);
      const sum = moved.get(event.connection) ?? { in: 0, out: 0 };
      sum[event.way] += event.length;
      moved.set(event.connection, sum);
    } else if (event.kind === 'channel') {
      places.set(event.channel, `${event.depth} of ${event.capacity} places taken`);
    } else if (event.kind === 'state') machines.set(event.machine, event.to);
    else if (event.kind === 'pool') pool = [`${did[event.what]}: ${event.key}`];
  }
  const connected = connections.filter(({ id }) => moved.has(id)).map(({ id }) => moved.get(id)!);
  return {
    messages,
    connections: connected.map((sum) => `${sum.in} read, ${sum.out} written`),
    places: [...places.values()],
    machines: [...machines.values()],
    pool,
  };
}

describe.skipIf(executablePath === undefined)('the explorer as a teacher', () => {
  const folder = join(tmpdir(), `explorer-teacher-${process.pid}`);
  const site = join(folder, 'site');
  const withRust = join(folder, 'with-rust');
  const problems: string[] = [];
  let browser: Browser;
  let page: Page;
  let repository: Server;
  let asked: string[] = [];

  beforeAll(async () => {
    const traces = join(folder, 'traces');
    mkdirSync(traces, { recursive: true });
    const toured: TraceDocument[] = [];
    for (const { scenario } of tours) toured.push(await runScenario(findScenario(scenario)!, { tmp: folder }));
    for (const trace of [...toured, exchange(), large()]) {
      writeFileSync(join(traces, `${trace.scenario}.json`), JSON.stringify(trace));
    }
    repository = createServer((request, response) => {
      asked.push(request.url!);
      response.setHeader('access-control-allow-origin', '*');
      if (request.url!.endsWith('.rs'))
        response.end('// from the repository\nfn read_request<\'a>() {\n    let a = "b";\n}\n');
      else response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => repository.listen(0, '127.0.0.1', resolve));
    const rustBase = `http://127.0.0.1:${(repository.address() as AddressInfo).port}/`;
    const book = { '12': { title: 'chapter 12: process_new_http', href: 'chapter.html' } };
    await buildExplorer({ traces, out: site, rustBase, book });
    const checkout = join(folder, 'checkout/pingora-core/src/protocols/http/v1');
    mkdirSync(checkout, { recursive: true });
    writeFileSync(join(checkout, 'server.rs'), '// from the checkout\nfn read_request() {}\n');
    await buildExplorer({ traces, out: withRust, pingora: join(folder, 'checkout') });
    browser = await chromium.launch({
      executablePath: executablePath!,
      headless: true,
      args: ['--no-sandbox', '--disable-gpu'],
    });
  });

  afterAll(async () => {
    await browser?.close();
    repository?.closeAllConnections();
    repository?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  afterEach(async () => {
    await page?.context().close();
    asked = [];
    expect(problems.splice(0)).toEqual([]);
  });

  async function open(hash = '', options: BrowserContextOptions = {}, from = site): Promise<void> {
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
    page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') problems.push(message.text());
    });
    page.on('pageerror', (error) => problems.push(error.message));
    await page.goto(pathToFileURL(join(from, 'explorer.html')).href + hash);
    if (hash !== '') await page.locator('#work, #compare').and(page.locator(':visible')).first().waitFor();
  }

  const press = async (...keys: string[]) => {
    for (const key of keys) await page.keyboard.press(key);
  };
  const text = (selector: string) => page.locator(selector).innerText();
  const now = () => page.locator('#now').textContent();
  const evaluate = <T>(script: string) => page.evaluate(script) as Promise<T>;

  test('a card says what the call does, what went in and out, what it changed and why it failed', async () => {
    await open('#trace=exchange&fn=HttpSession::read_request');
    await eventually(() => text('.sentence')).toBe('Read the head of the request.');
    expect(await text('#card')).toMatch(/OUT\s+request\s+GET \/ HTTP\/1\.1\s+fields\s+host: a/);
    await page.locator('.call', { hasText: 'get_stream' }).click();
    expect(await text('.failure')).toMatch(/Upstream ConnectRefused[\s\S]+ECONNREFUSED\s+refused/);
    await page.locator('.call', { hasText: 'write_request_header' }).click();
    expect(await page.locator('.change').allInnerTexts()).toEqual(
      ['+\nvia\n1.1 me', '−\nconnection\nclose'].map((line) =>
        expect.stringMatching(line.replace(/[+.]/g, '\\$&').replace(/\n/g, '\\s+')),
      ),
    );
  });

  test('a jump to another task is explained', async () => {
    await open('#trace=exchange&fn=Service::handle_event');
    expect(await text('.jump')).toBe('task 1 main waits; task 2 connection runs, woken by bytes on connection 1.');
  });

  test('the wire shows what has passed, as text or hex, and leads to the call; it is never HTML', async () => {
    await open('#trace=exchange&fn=Server::run_forever');
    expect(await text('#wire')).toBe('Nothing has passed yet.');
    await press('End');
    expect(await page.locator('.message header b').allInnerTexts()).toEqual([
      'client → proxy',
      'proxy → origin',
      'proxy → client',
    ]);
    expect(await text('.message:first-of-type pre')).toBe('GET / HTTP/1.1↵\n↵');
    expect(await page.locator('.message pre.hex').innerText()).toContain('00 3c 73 63 72 69 70 74 3e');
    await press('x');
    expect(await text('.message:first-of-type pre')).toContain('0000  47 45 54 20');
    await page.locator('.message .link', { hasText: 'read_request' }).click();
    expect(await now()).toBe('HttpSession::read_request');
    expect(await page.locator('.message.is-now').count()).toBe(1);
  });

  test('the state shows tasks, channels, state machines, the pool and connections', async () => {
    await open('#trace=exchange');
    await press('End');
    const state = await text('#state');
    expect(state).toMatch(/1 main\s+waits in\s+Server::run_forever/);
    expect(state).toMatch(/2 connection\s+runs\s+/);
    expect(state).toMatch(/origin → client\s+1 of 4/);
    expect(state).toMatch(/response to the client\s+Done/);
    expect(state).toMatch(/1 waits\s+one was put in: k/);
    expect(state).toMatch(/2 origin\s+127\.0\.0\.1:2\s+0 read, 20 written/);
    expect(await page.locator('.places i.is-taken').count()).toBe(1);
  });

  test('at each step of h1 the wire and the state are those of the JSON', async () => {
    const trace = JSON.parse(readFileSync(join(folder, 'traces/h1.json'), 'utf8')) as TraceDocument;
    await open('#trace=h1&step=1');
    await page.locator('#levels [data-level=all]').click();
    const seen = await evaluate<Shown[]>(`(() => {
      const all = (selector, read) => [...document.querySelectorAll(selector)].map(read);
      const label = (element) => element.getAttribute('aria-label');
      const text = (element) => element.textContent;
      const slider = document.querySelector('#slider');
      const steps = [];
      for (let before = -1; Number(slider.value) !== before; ) {
        before = Number(slider.value);
        steps.push({
          messages: all('#wire .message', label),
          connections: all('#state .connection small', text),
          places: all('#state .places', label),
          machines: all('#state .chip', text),
          pool: all('#state small', text).filter((said) => /^(one|none) was /.test(said)),
        });
        document.body.dispatchEvent(new KeyboardEvent('keydown', { key: '.', bubbles: true }));
      }
      return steps;
    })()`);
    const steps = new Steps(trace);
    expect(seen).toHaveLength(steps.count);
    expect(seen.at(-1)!.messages.length).toBeGreaterThan(3);
    for (const [step, shown] of seen.entries()) {
      const now = steps.spans[steps.spanAt(step)]!.id;
      const time = steps.time(step);
      const next = step + 1 < steps.count ? steps.time(step + 1) : Number.POSITIVE_INFINITY;
      const { messages } = shownOf(trace, (event) => event.time <= time || event.span === now);
      // the state is not ahead of itself: of what the call does, only what it does before the next step
      const state = shownOf(trace, (event) => event.time <= time || (event.span === now && event.time <= next));
      expect(shown, `step ${step + 1}`).toEqual({ ...state, messages });
    }
  });

  test('the tour of h1 is walked by keyboard alone, from the button to the answer', async () => {
    await open();
    for (let i = 0; i < 20 && (await evaluate<string>('document.activeElement.id')) !== 'start-tour'; i++)
      await press('Tab');
    await press('Enter');
    const { stops } = tours[0]!;
    await eventually(() => text('#tour-title')).toBe(stops[0]!.title);
    for (const [i, { title, fn }] of stops.entries()) {
      if (i > 0) await press(']');
      expect(await text('#tour-title')).toBe(title);
      expect((await now())!.replace('↩ ', '')).toBe(fn);
      expect(page.url()).toContain(`#trace=h1&tour=${i + 1}`);
    }
    await press('[');
    expect(await text('#tour-title')).toBe(stops.at(-2)!.title);
    await page.reload();
    await eventually(() => text('#tour-title')).toBe(stops.at(-2)!.title);
    const { bytes } = JSON.parse(
      await evaluate('JSON.stringify({ bytes: document.querySelector("#wire").innerText })'),
    ) as { bytes: string };
    expect(bytes).toContain('HTTP/1.1 200 OK');
  });

  test('at each stop of each tour there are twelve lines of code, and the part of the state that the words name', async () => {
    const room = { viewport: { width: 1280, height: 800 } };
    for (const { scenario, stops } of tours) {
      await open(`#trace=${scenario}&tour=1`, room);
      await page.locator('.line.is-first').waitFor();
      const seen = () =>
        evaluate<{ lines: number; first: boolean; part: string | null; inside: boolean; height: number }>(`(() => {
          const box = (element) => element.getBoundingClientRect();
          const [code, state] = ['code', 'state'].map((id) => document.getElementById(id));
          const shows = (line) => box(line).top >= box(code).top - 1 && box(line).bottom <= box(code).bottom + 1;
          const part = document.querySelector('.is-looked-at');
          return {
            lines: [...document.querySelectorAll('#code .line')].filter(shows).length,
            first: shows(document.querySelector('#code .line.is-first')),
            part: part?.dataset.part ?? null,
            inside: part === null || (box(part).top >= box(state).top - 1 && box(part.querySelector('li')).bottom <= box(state).bottom),
            height: box(state).height,
          };
        })()`);
      for (const [i, { fn, look }] of stops.entries()) {
        if (i > 0) await press(']');
        const at = `${scenario}, stop ${i + 1}: ${fn}`;
        const { lines, first, part, inside, height } = await seen();
        expect(lines, at).toBeGreaterThanOrEqual(12);
        expect(first, at).toBe(true);
        expect(part, at).toBe(look ?? null);
        expect(inside, at).toBe(true);
        expect(height, at).toBeGreaterThan(150);
      }
      await page.context().close();
    }
  }, 180_000);

  test('whoever steps on from a stop is told so, and returns by a key or a button', async () => {
    await open('#trace=h1&tour=12');
    const title = await text('#tour-title');
    await press('ArrowRight', 'ArrowRight');
    expect(await text('#tour-away')).toMatch(/^You are \d+ steps past this stop\. Its words are about another call\./);
    expect(await now()).not.toBe('↩ <app as ProxyHttp>::upstream_peer');
    // the address has both, so that a reload keeps both
    await eventually(() => page.url()).toMatch(/#trace=h1&tour=12&step=\d+$/);
    const away = await now();
    await page.reload();
    await eventually(now).toBe(away);
    expect(await text('#tour-title')).toBe(title);
    await press('b');
    expect(await now()).toBe('↩ <app as ProxyHttp>::upstream_peer');
    expect(await text('#tour-away')).toBe('');
    await press('Home');
    expect(await text('#tour-away')).toContain('before this stop');
    await page.getByRole('button', { name: 'Return' }).click();
    expect(await now()).toBe('↩ <app as ProxyHttp>::upstream_peer');
    // and the next stop is the next one from wherever one is
    await press('ArrowRight', ']');
    expect(await now()).toBe(tours[0]!.stops[12]!.fn);
    expect(await text('#tour-away')).toBe('');
    await press('Escape');
    expect(await page.locator('#tour').isVisible()).toBe(false);
    await eventually(() => page.url()).toMatch(/#trace=h1&step=\d+$/);
  });

  test('the legend and the keys open at their beginning', async () => {
    await open('#trace=h1', { viewport: { width: 1280, height: 600 } });
    await press('?');
    expect(await evaluate('keys.scrollTop')).toBe(0);
    expect(await evaluate('keys.scrollHeight > keys.clientHeight')).toBe(true);
    expect(await evaluate('document.activeElement.id')).toBe('keys-title');
    await press('End');
    await eventually(() => evaluate<number>('keys.scrollTop')).toBeGreaterThan(100);
    await page.getByRole('button', { name: 'Close' }).click();
    expect(await page.locator('dialog[open]').count()).toBe(0);
  });

  test('a step opened from elsewhere leads back, and says which chapter explains it', async () => {
    await open();
    await page.goto(
      `${pathToFileURL(join(site, 'explorer.html')).href}#trace=exchange&fn=HttpSession::read_request&n=1`,
    );
    await eventually(() => page.locator('.chapter').textContent()).toBe('Chapter 12: process_new_http');
    expect(await page.locator('.chapter').getAttribute('href')).toBe('chapter.html');
    await page.goBack();
    await eventually(() => page.locator('#start').isVisible()).toBe(true);
  });

  test('a scenario begins at run_forever with its main path; the level says how much shows', async () => {
    await open('#trace=h1');
    await eventually(now).toBe('Server::run_forever');
    const names = () => page.locator('.call .fn').allTextContents();
    expect(await names()).not.toContain('Server::new');
    expect(await page.locator('#levels [aria-pressed=true]').innerText()).toBe('main path');
    await press('ArrowRight');
    expect(await now()).toBe('Server::run_service');
    await press('l');
    expect(await names()).toContain('Server::new');
    await press('l');
    expect(await page.locator('#levels [aria-pressed=true]').innerText()).toBe('everything');
    await press('Home');
    expect(await now()).toBe('Server::new');
  });

  test('a call that its level hides is shown when one goes there', async () => {
    await open('#trace=h1&fn=BodyWriter::write_body&n=1');
    expect(await page.locator('.call[aria-selected=true] .fn').textContent()).toBe('BodyWriter::write_body');
    expect(await page.locator('#levels [aria-pressed=true]').innerText()).toBe('main path');
  });

  test('two traces are compared, by keyboard: what only one has is marked, and each row leads into its trace', async () => {
    await open('#trace=h1');
    await press('m');
    const choices = await text('#compare-list');
    expect(choices).toContain('what Pingora 0.1.0 was recorded to call');
    // not the name alone: what it is, too
    expect(choices).toMatch(/keepalive\s+two GETs, one after the other, on one client connection/);
    await page.locator('#compare-list a', { has: page.locator('b', { hasText: /^keepalive$/ }) }).focus();
    await press('Enter');
    await eventually(() => page.locator('.compared.is-both').count()).toBeGreaterThan(10);
    expect(page.url()).toContain('#trace=h1&with=keepalive');
    expect(await text('#compare-says')).toMatch(/0 only in h1, \d+ only in keepalive/);
    await press(']');
    await eventually(() => page.locator('.compared.is-only-b').count()).toBeGreaterThan(5);
    await page.locator('.compared.is-only-b a', { hasText: 'HttpProxy::process_request' }).first().click();
    await eventually(now).toBe('HttpProxy::process_request');
    expect(page.url()).toContain('#trace=keepalive&fn=HttpProxy::process_request&n=2');
    await page.goBack();
    await eventually(() => page.locator('#compare').isVisible()).toBe(true);
  });

  test('the port is compared with what Pingora was recorded to call: nothing of the record is missing', async () => {
    await open('#trace=h1&with=pingora-h1');
    await page.locator('#compare-levels [data-level=all]').click();
    await eventually(() => text('#compare-says')).toMatch(
      /^\d{2,} rows in both, 0 only in the port, 0 only in Pingora’s record$/,
    );
  });

  test('search finds values too', async () => {
    await open('#trace=exchange&step=1');
    await press('/');
    await page.keyboard.type('econnref');
    await eventually(() => text('#results')).toContain('1 call');
    await press('Enter');
    expect(await now()).toBe('TransportConnector::get_stream');
  });

  test('the caller is shown with the line of the call', async () => {
    await open('#trace=exchange&fn=HttpSession::read_request');
    await page.locator('.line.is-first').waitFor();
    await press('v');
    expect(await text('#where .port')).toMatch(/^src\/protocols\/h1\/server\.ts/);
    expect(await page.locator('.line.is-inside').first().innerText()).toContain('processRequest');
    await press('v');
    expect(await page.locator('.line.is-first').innerText()).toContain('readRequest');
  });

  test('Rust comes from the checkout that the page was built with', async () => {
    await open('#trace=exchange&fn=HttpSession::read_request', {}, withRust);
    await press('r');
    await eventually(() => text('#rust')).toContain('from the checkout');
    expect(asked).toEqual([]);
  });

  test('Rust is fetched from the repository when the reader asks, and not before', async () => {
    await open('#trace=exchange&fn=HttpSession::read_request');
    await press('r');
    expect(await text('#no-rust')).toContain('isn’t part of this page');
    expect(asked).toEqual([]);
    await page.locator('#fetch-rust').click();
    await eventually(() => text('#rust')).toContain('from the repository');
    expect(asked).toEqual(['/pingora-core/src/protocols/http/v1/server.rs']);
    expect(await page.locator('#rust .t-keyword').allInnerTexts()).toEqual(['fn', 'let']);
  });

  test('the lanes get as much room as the splitter says, by keyboard too, and keep it', async () => {
    await open('#trace=exchange');
    const height = async () => (await page.locator('#panel-lanes').boundingBox())!.height;
    const before = await height();
    await page.locator('#splitter').focus();
    await press('ArrowUp', 'ArrowUp', 'ArrowUp');
    await eventually(height).toBeGreaterThan(before + 40);
    expect(await now()).toBe('Server::run_forever');
    const after = await height();
    await page.reload();
    await eventually(height).toBe(after);
  });

  test('on a phone each panel has the screen, and a tour opens where its words are', async () => {
    await open('#trace=h1&tour=7', { viewport: { width: 390, height: 844 } });
    await eventually(() => page.locator('#tour').isVisible()).toBe(true);
    await page.locator('[role=tab][data-for=wire]').click();
    expect(await text('#wire')).toContain('GET /hello HTTP/1.1');
    expect(await evaluate('document.documentElement.scrollWidth')).toBe(390);
    for (const tab of ['state', 'code', 'calls', 'lanes', 'phases']) {
      await page.locator(`[role=tab][data-for=${tab}]`).click();
      expect(await evaluate('document.documentElement.scrollWidth')).toBe(390);
      // the words and the way on are there whatever shows, and leave the panel its room
      expect(await page.locator('#tour-title').isVisible()).toBe(true);
      await page.locator('#tour [data-go=on]').click();
      expect((await page.locator(`#panel-${tab}`).boundingBox())!.height).toBeGreaterThan(250);
    }
    // the tab that a stop's words name is marked
    expect(await page.locator('.tabs .is-named').count()).toBe(0);
    await page.goto(page.url().replace(/tour=\d+/, 'tour=13'));
    await eventually(() => page.locator('.tabs .is-named').getAttribute('data-for')).toBe('state');
    const last = tours[0]!.stops.length;
    await page.goto(page.url().replace(/tour=\d+/, `tour=${last}`));
    await eventually(() => text('#tour-title')).toBe(tours[0]!.stops.at(-1)!.title);
    const inside = await evaluate<boolean[]>(`[...document.querySelectorAll('#tour a, #tour button')].map((element) => {
      const { left, right, top, bottom } = element.getBoundingClientRect();
      const tour = document.getElementById('tour').getBoundingClientRect();
      return left >= 0 && right <= innerWidth && top >= tour.top && bottom <= tour.bottom;
    })`);
    expect(inside.length).toBeGreaterThan(2);
    expect(inside).not.toContain(false);
  });

  test('on a phone two traces are one column, in which each row that only one has is told by its sign', async () => {
    await open('#trace=h1&with=keepalive', { viewport: { width: 390, height: 844 } });
    await eventually(() => page.locator('.compared.is-both').count()).toBeGreaterThan(5);
    expect(await evaluate('document.documentElement.scrollWidth')).toBe(390);
    const widths = await evaluate<number[]>(
      `[...document.querySelectorAll('.compared.is-both .cell')].map((cell) => cell.getBoundingClientRect().width)`,
    );
    // one of the two cells has the whole width, the other one isn't shown
    expect(new Set(widths.map((width) => (width === 0 ? 0 : width > 370)))).toEqual(new Set([0, true]));
    await page.getByRole('button', { name: 'difference →' }).click();
    await eventually(() => page.locator('.compared.is-only-b').count()).toBeGreaterThan(0);
    const sign = `getComputedStyle(document.querySelector('.compared.is-only-b .cell:last-child'), '::before').content`;
    expect(await evaluate(sign)).toBe('"+"');
  });

  test('10,000 calls with 5,000 events are walked without a stutter', async () => {
    await open('#trace=large');
    const times = await evaluate<number[]>(`(async () => {
      const press = (key) => document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
      const frame = () => new Promise((done) => requestAnimationFrame(() => done()));
      press('End');
      await frame();
      const times = [];
      for (let i = 0; i < 40; i++) {
        const from = performance.now();
        press(i % 2 ? 'ArrowLeft' : ',');
        times.push(performance.now() - from);
        await frame();
      }
      return times.sort((a, b) => a - b);
    })()`);
    // the best half, for the machine may do much else meanwhile
    expect(times[10]).toBeLessThan(50);
  });

  test('the page and its first trace are small', () => {
    const gzipped = (path: string) => gzipSync(readFileSync(join(site, path))).length;
    expect(statSync(join(site, 'explorer.html')).size).toBeGreaterThan(0);
    const all = ['explorer.html', 'assets/traces/h1.js', 'assets/sources.js', 'assets/words.js'].map(gzipped);
    expect(all.reduce((sum, size) => sum + size, 0)).toBeLessThan(400_000);
  });
});
