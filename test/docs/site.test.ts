/** The whole site, made as its readers make it, then read: every link, and every page in a real browser. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Browser, chromium } from 'playwright-core';
import sirv from 'sirv';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tours } from '../../explorer/tours.ts';
import { findScenario } from '../../src/scenarios/index.ts';
import { loader } from '../support/built.ts';
import { runScenario } from '../support/scenario.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const require = createRequire(import.meta.url);
const { executablePath } = require('../../.puppeteerrc.cjs') as { executablePath: string | undefined };

const BOOK = 'From_run_forever_to_process_new_http,_and_on_to_the_origin.html';
const TRACES = ['h1', 'tls-h2', 'retry', 'dead-upstream'];

let site: string;
let printed: string;

beforeAll(async () => {
  site = mkdtempSync(join(tmpdir(), 'pingora-traced-site-'));
  // some scenarios are enough to see what is made of them
  const traces = mkdtempSync(join(tmpdir(), 'pingora-traced-site-traces-'));
  for (const name of TRACES) {
    writeFileSync(
      join(traces, `${name}.json`),
      JSON.stringify(await runScenario(findScenario(name)!, { tmp: traces })),
    );
  }
  const args = [...loader, 'scripts/docs.ts', '--out', site, '--traces', traces];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { cwd: root });
  printed = stdout + stderr;
  rmSync(traces, { recursive: true, force: true });
}, 400_000);

afterAll(() => rmSync(site, { recursive: true, force: true }));

function* pages(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* pages(path);
    else if (entry.name.endsWith('.html')) yield path;
  }
}

/**
 * The pages that readers are led to, all of them; of those that one template makes (the API's, a scenario's), the longest
 * ones and each tenth of the rest.
 */
function worthMeasuring(site: string): string[] {
  const all = [...pages(site)].map((path) => relative(site, path)).filter((path) => !/^(?:source|explorer)/.test(path));
  const kindOf = (path: string) => /^documents\/Scenarios\./.exec(path)?.[0] ?? dirname(path);
  const written = all.filter((path) => /^(?:\.|modules|documents)$/.test(kindOf(path)));
  const kinds = new Set(all.map(kindOf));
  for (const kind of ['.', 'modules', 'documents']) kinds.delete(kind);
  const made = [...kinds].flatMap((kind) => {
    const longestFirst = all
      .filter((path) => kindOf(path) === kind)
      .sort((a, b) => statSync(join(site, b)).size - statSync(join(site, a)).size);
    return longestFirst.filter((_, i) => i < 3 || i % 10 === 0);
  });
  return [...written, ...made];
}

/** In a browser, on a page of the same folder: show the page at `address`, and say how it looks. */
async function measure(address: string) {
  const { document, DOMParser, fetch, getComputedStyle } = globalThis as any;
  const shown = new DOMParser().parseFromString(await (await fetch(address)).text(), 'text/html');
  document.body.innerHTML = shown.body.innerHTML;
  // typedoc hides a page until its script has come
  document.body.style.removeProperty('display');
  const images: { decode(): Promise<void> }[] = [...document.querySelectorAll('.col-content img')];
  await Promise.all(images.map((image) => image.decode()));
  const content = document.querySelector('.col-content').cloneNode(true);
  for (const code of content.querySelectorAll('pre, code')) code.remove();
  const narrow = [...document.querySelectorAll('.col-content :is(td, th)')].filter(
    (cell) => cell.clientWidth < 6 * parseFloat(getComputedStyle(cell).fontSize),
  );
  const { scrollHeight: height, scrollWidth: width } = document.documentElement;
  return { title: shown.title, text: content.textContent, narrow: narrow.length, height, width };
}

test('the site is made without a warning', () => {
  expect(printed).not.toMatch(/warning|error/i);
  expect(printed.trim().split('\n')).toHaveLength(1);
});

test('what is ported is linked to its original: types, functions with a span, functions without', () => {
  const page = (name: string) => readFileSync(join(site, `${name}.html`), 'utf8').replaceAll(/<wbr\s*\/?>/g, '');
  const link = (at: string, name: string) =>
    `Pingora: <a href="https://github.com/cloudflare/pingora/blob/0.1.0/${at}"><code>${name}</code></a>`;
  const service = page('classes/pingora-traced.Service');
  expect(service).toContain(link('pingora-core/src/services/listening.rs#L35', 'Service'));
  expect(service).toContain(link('pingora-core/src/services/listening.rs#L107', 'Service::add_address'));
  expect(page('classes/pingora-traced.PingoraError')).toContain(
    link('pingora-error/src/lib.rs#L254', 'Error::because'),
  );
});

test('pages say where one is, what is on them and what else there is', () => {
  const read = (path: string) => readFileSync(join(site, path), 'utf8');
  const front = read('index.html');
  expect(front).toMatch(/<a class="site-start" href="explorer\/explorer\.html#trace=h1&amp;tour=1">/);
  expect(front).toMatch(/<a href="explorer\/explorer\.html#trace=h1&amp;tour=1"><img [^>]*explorer\.png"/);
  const chapter = read('documents/05_start_service.html');
  expect(chapter).toMatch(/<a href="#05-start_service"><span>05 <code>start_service<\/code><\/span><\/a>/);
  expect(chapter.replaceAll(/<wbr\s*\/?>/g, '')).toMatch(
    /tsd-breadcrumb[^>]*>\s*<li><a href="\.\.\/index\.html">pingora-traced<\/a><\/li>\s*<li><a href="From_run_forever[^>]*>Book</,
  );
  for (const name of TRACES) expect(read(`documents/Scenarios.${name}.html`)).toContain(`explorer.html#trace=${name}`);
});

test('every link inside the site leads to a page, and to the place in it that it names', () => {
  const anchors = new Map<string, Set<string>>();
  const anchorsOf = (path: string): Set<string> => {
    let known = anchors.get(path);
    if (known === undefined) {
      known = new Set([...readFileSync(path, 'utf8').matchAll(/\b(?:id|name)="([^"]+)"/g)].map(([, id]) => id!));
      anchors.set(path, known);
    }
    return known;
  };
  const broken: string[] = [];
  let links = 0;
  for (const page of pages(site)) {
    const from = relative(site, page);
    // the explorer makes its links as it runs
    if (from.startsWith('explorer')) continue;
    for (const [, link] of readFileSync(page, 'utf8').matchAll(/<[^>]*\b(?:href|src)="([^"]+)"/g)) {
      if (/^[a-z]+:/i.test(link!)) continue;
      links++;
      const [path = '', anchor = ''] = link!.split('#').map((part) => decodeURIComponent(part));
      let to = path === '' ? page : normalize(join(dirname(page), path.split('?')[0]!));
      if (existsSync(to) && statSync(to).isDirectory()) to = join(to, 'index.html');
      const id = anchor.replace(/^(L\d+)-L\d+$/, '$1');
      const found =
        existsSync(to) && (id === '' || !to.endsWith('.html') || to.includes('/explorer/') || anchorsOf(to).has(id));
      if (!found) broken.push(`${from}: ${link}`);
    }
  }
  expect(broken).toEqual([]);
  expect(links).toBeGreaterThan(1000);
});

describe.skipIf(executablePath === undefined)('in a browser (needs Chromium)', () => {
  let browser: Browser;
  let address: string;
  const server = createServer((request, response) => {
    // asked for on a browser's own account, before it has read which icon the page has
    if (request.url === '/favicon.ico') return void response.writeHead(204).end();
    sirv(site, { dev: true })(request, response, () => void response.writeHead(404).end());
  });

  beforeAll(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const args = [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
    ];
    browser = await chromium.launch({ executablePath: executablePath!, args });
  });

  afterAll(async () => {
    await browser?.close();
    server.closeAllConnections();
    server.close();
  });

  test('from the first chapter on each leads to the next; all open without an error, with code and pictures', async () => {
    const page = await browser.newPage();
    const errors: string[] = [];
    page.on('console', (message) => message.type() === 'error' && errors.push(`${page.url()}: ${message.text()}`));
    page.on(
      'response',
      (response) => response.status() >= 400 && errors.push(`${response.status()} ${response.url()}`),
    );
    page.on('pageerror', (error) => errors.push(`${page.url()}: ${error}`));
    const opened: string[] = [];
    const look = () =>
      page.evaluate(() => {
        const { document } = globalThis as any;
        const all = (selector: string): any[] => [...document.querySelectorAll(selector)];
        return {
          next: all('.site-on [rel=next]')[0]?.href as string | undefined,
          code: all('pre code').length,
          unseen: all('img').filter((image) => image.naturalWidth === 0).length,
        };
      });
    await page.goto(`${address}/documents/${BOOK}`);
    for (let { next } = await look(); next !== undefined; ) {
      await page.goto(next);
      const name = decodeURI(new URL(page.url()).pathname.slice('/documents/'.length));
      opened.push(name);
      const shown = await look();
      if (/^\d\d/.test(name)) expect(shown.code, name).toBeGreaterThan(0);
      expect(shown.unseen, name).toBe(0);
      next = shown.next;
    }
    const chapters = readdirSync(join(site, 'documents')).filter((name) => /^\d\d/.test(name));
    expect(chapters.length).toBeGreaterThan(15);
    expect(opened).toEqual([...chapters.sort(), 'Answers.html', 'Glossary.html', 'Deviations.html']);
    expect(errors).toEqual([]);
    await page.close();
  }, 120_000);

  test('a picture is shrunk to its column, and scrolls where it could not be read', async () => {
    const page = await browser.newPage({ viewport: { width: 1100, height: 900 } });
    await page.goto(`${address}/documents/15_The_two_halves_of_an_exchange.html`);
    const measure = () =>
      page.locator('img[src$="/halves.svg"]').evaluate((element) => {
        const image = element as any;
        return { shown: image.clientWidth, own: image.naturalWidth, column: image.closest('p').clientWidth };
      });
    const wide = await measure();
    expect(wide.own).toBeGreaterThan(wide.column);
    expect(wide.shown).toBe(wide.column);
    await page.setViewportSize({ width: 390, height: 844 });
    const narrow = await measure();
    expect(narrow.shown).toBeGreaterThan(narrow.column);
    expect(narrow.shown).toBe(Math.round(narrow.own * 0.7));
    await page.close();
  });

  test('no page shows Markdown or comments as text, has a narrow column, is endless, or wider than a phone', async () => {
    const page = await browser.newPage();
    const wrong: string[] = [];
    const all = worthMeasuring(site);
    expect(all.length).toBeGreaterThan(70);
    // What differs from page to page of a folder is its body: to change that costs a tenth of going there.
    for (const folder of new Set(all.map(dirname))) {
      const inFolder = all.filter((path) => dirname(path) === folder);
      for (const [width, height] of [
        [1280, 900],
        [390, 844],
      ] as const) {
        await page.setViewportSize({ width, height });
        await page.goto(`${address}/${encodeURI(inFolder[0]!)}`);
        for (const path of inFolder) {
          const found = await page.evaluate(measure, `${address}/${encodeURI(path)}`);
          expect(found.title, path).not.toBe('');
          if (found.width > width) wrong.push(`${path}: ${found.width} pixels wide in a window of ${width}`);
          if (/\]\(|<!--/.test(found.text)) wrong.push(`${path}: Markdown as text`);
          if (found.narrow > 0) wrong.push(`${path}: ${found.narrow} cells under six ems, ${width} wide`);
          if (found.height > 20_000 && width > 1000) wrong.push(`${path}: ${found.height} pixels high`);
        }
      }
    }
    expect(wrong).toEqual([]);
    await page.close();
  }, 400_000);

  test('nothing is in the way of readers who see little or use no mouse, in light and dark', async () => {
    const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
    const wrong: string[] = [];
    for (const [path, key] of [
      ['index.html'],
      ['documents/01_Four_lines_to_a_proxy.html'],
      ['documents/Deviations.html'],
      ['documents/Scenarios.h1.html'],
      ['classes/pingora-traced.Service.html'],
      ['explorer/explorer.html'],
      // a tour from which one has stepped on, at its end, and what opens over the page
      ['explorer/explorer.html#trace=h1&tour=7', 'ArrowRight'],
      ['explorer/explorer.html#trace=h1&tour=21'],
      ['explorer/explorer.html#trace=h1', 'm'],
      ['explorer/explorer.html#trace=h1', '?'],
      ['explorer/explorer.html#trace=retry&tour=8'],
      ['explorer/explorer.html#trace=h1&with=retry'],
    ] as [string, string?][]) {
      // with motion, axe would see colours that are on their way from light to dark
      const page = await browser.newPage({ viewport: { width: 1440, height: 900 }, reducedMotion: 'reduce' });
      await page.goto(`${address}/${path}`);
      const ready = path.includes('#') ? '#work, #compare' : 'h1';
      await page.locator(ready).and(page.locator(':visible')).first().waitFor();
      if (key !== undefined) await page.keyboard.press(key);
      if (path.startsWith('classes')) await page.locator('.site-nav-link').first().waitFor({ state: 'attached' });
      await page.evaluate(axe);
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
        // all that changes in the dark are colours
        const only = colorScheme === 'dark' ? { runOnly: ['color-contrast', 'link-in-text-block'] } : {};
        const { violations } = await page.evaluate(
          (only) => (globalThis as any).axe.run({ resultTypes: ['violations'], ...only }),
          only,
        );
        for (const { id, impact, nodes } of violations) {
          if (!/serious|critical/.test(impact)) continue;
          wrong.push(`${path} ${key ?? ''}, ${colorScheme}: ${id}: ${nodes[0].html.slice(0, 120)}`);
        }
      }
      await page.close();
    }
    expect(wrong).toEqual([]);
  }, 240_000);

  test('a group of the navigation is opened by its arrow and read by its link, by keyboard', async () => {
    const page = await browser.newPage();
    await page.goto(`${address}/classes/pingora-traced.Service.html`);
    const link = page.locator('.site-nav-link', { hasText: /^pingora-traced\/metrics$/ });
    const summary = page.getByLabel('What is in pingora-traced/metrics');
    await link.focus();
    await page.keyboard.press('Tab');
    expect(await summary.evaluate((element) => element === (globalThis as any).document.activeElement)).toBe(true);
    const open = () => summary.evaluate((element) => (element.parentElement as any).open as boolean);
    const before = await open();
    await page.keyboard.press('Enter');
    expect(await open()).toBe(!before);
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Enter');
    await page.waitForURL(
      /modules\/pingora-traced_metrics\.html$|pingora-traced\/metrics\.html$|pingora-traced_metrics/,
    );
    await page.close();
  });

  test('who looks for a word is led to the page that has it in a heading, before any name of the API', async () => {
    const page = await browser.newPage();
    await page.goto(`${address}/index.html`);
    await page.keyboard.press('/');
    const first = async (word: string) => {
      await page.locator('#tsd-search-results').evaluate((list) => list.replaceChildren());
      await page.locator('#tsd-search-input').fill(word);
      await page.locator('#tsd-search-results li').first().waitFor();
      return page.locator('#tsd-search-results a').first().getAttribute('href');
    };
    for (const [word, to] of [
      ['keepalive', '19_The_end'],
      ['retry', '18_Trying'],
      ['threads', '22_Threads'],
      ['accept loop', '06_The_accept_loop'],
      ['run_forever', '04_run_forever'],
      ['process_new', '10_process_new'],
      // what only a function is called leads to the function
      ['upstreamPeer', 'classes/pingora-traced.ProxyHttp'],
    ] as const) {
      expect(await first(word), word).toContain(to);
    }
    await page.close();
  });

  test('the first page says what Pingora is and leads to the words; of its commands nothing is cut off', async () => {
    for (const width of [1280, 390]) {
      const page = await browser.newPage({ viewport: { width, height: 900 } });
      await page.goto(`${address}/index.html`);
      expect(await page.locator('.tsd-typography, .col-content').first().innerText()).toMatch(
        /Pingora is the framework/,
      );
      expect(await page.locator('.col-content a[href$="Glossary.html"]').count()).toBeGreaterThan(0);
      const cut = await page
        .locator('pre:has(> code.sh)')
        .evaluateAll((all) => all.filter((box) => (box as any).scrollWidth > (box as any).clientWidth + 1).length);
      expect(cut).toBe(0);
      await page.close();
    }
  });

  test('the deviations are grouped, each group within reach from the top, and fit their page', async () => {
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    await page.goto(`${address}/documents/Deviations.html`);
    const groups = await page.locator('.site-deviations h2').evaluateAll((all) => all.map((one) => one.id));
    expect(groups.length).toBeGreaterThan(6);
    for (const id of groups) expect(await page.locator(`.site-deviations ul a[href="#${id}"]`).count(), id).toBe(1);
    const wide = await page
      .locator('.site-deviations table')
      .evaluateAll(
        (all) => all.filter((table) => (table as any).scrollWidth > (table.parentElement as any).clientWidth).length,
      );
    expect(wide).toBe(0);
    await page.close();
  });

  test('a chapter leads into the explorer at its calls, and the explorer back to the chapter', async () => {
    const page = await browser.newPage();
    await page.goto(`${address}/documents/12_process_new_http.html`);
    await page.locator('a', { hasText: 'these calls in the trace explorer' }).first().click();
    await page.locator('#now', { hasText: 'HttpProxy::handle_new_request' }).waitFor();
    await page.locator('.chip.chapter').first().click();
    await page.locator('.tsd-breadcrumb', { hasText: 'Book' }).waitFor();
    // the chapter that explains it, not the first that mentions it
    await page.goto(`${address}/explorer/explorer.html#trace=h1&tour=1`);
    await page.locator('.chip.chapter', { hasText: /^Chapter 04: run_forever$/ }).click();
    await page.locator('h1', { hasText: '04 run_forever' }).waitFor();
    await page.close();
  });

  test('each stop of the first tour has the chapter that explains it in sight', async () => {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    await page.goto(`${address}/explorer/explorer.html#trace=h1&tour=1`);
    await page.locator('.line.is-first').waitFor();
    const { stops } = tours.find(({ scenario }) => scenario === 'h1')!;
    for (const [i, { fn }] of stops.entries()) {
      if (i > 0) await page.keyboard.press(']');
      const bottoms = await page.locator('.chapter').evaluate((chip: any) => ({
        chip: chip.getBoundingClientRect().bottom,
        card: chip.closest('.card').getBoundingClientRect().bottom,
      }));
      expect(bottoms.chip, `stop ${i + 1}: ${fn}`).toBeLessThanOrEqual(bottoms.card);
    }
    await page.close();
  });

  test('the site works from any folder of a server, without a network, and search finds what chapters say', async () => {
    const page = await browser.newPage();
    const sub = createServer((request, response) => {
      if (!request.url!.startsWith('/deep/down/')) return void response.writeHead(404).end();
      request.url = request.url!.slice('/deep/down'.length);
      sirv(site, { dev: true })(request, response, () => void response.writeHead(404).end());
    });
    sub.listen(0, '127.0.0.1');
    await once(sub, 'listening');
    const missing: string[] = [];
    page.on('request', (request) => {
      if (!/^(?:http:\/\/127\.0\.0\.1:|data:)/.test(request.url())) missing.push(`a network for ${request.url()}`);
    });
    page.on('response', (response) => {
      if (response.status() >= 400 && !response.url().endsWith('favicon.ico')) missing.push(response.url());
    });
    await page.goto(`http://127.0.0.1:${(sub.address() as AddressInfo).port}/deep/down/index.html`);
    await page.keyboard.press('/');
    await page.locator('#tsd-search-input').fill('hop-by-hop');
    await page.locator('#tsd-search-results li').first().waitFor();
    await page.keyboard.press('Escape');
    await page.locator('.site-start').click();
    await page.locator('#tour-title').waitFor();
    expect(missing).toEqual([]);
    await page.close();
    sub.closeAllConnections();
    sub.close();
  });

  test('the explorer steps through tls-h2 by keyboard, from a shared address, beside the source', async () => {
    const page = await browser.newPage();
    const errors: string[] = [];
    page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
    page.on('pageerror', (error) => errors.push(String(error)));
    await page.goto(
      `${address}/explorer/explorer.html#trace=tls-h2&fn=${encodeURIComponent('HttpProxy::process_request')}&n=1`,
    );
    await page.getByText('src/proxy/lib.ts:').first().waitFor();
    const before = page.url();
    await page.keyboard.press('ArrowRight');
    await page.waitForFunction((url) => (globalThis as any).location.href !== url, before);
    expect(errors).toEqual([]);
    await page.close();
  });
});
