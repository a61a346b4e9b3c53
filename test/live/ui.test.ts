/** The live page of a server that runs, as a person sees it. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import { createRequire } from 'node:module';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { Program } from '../support/program.ts';

const require = createRequire(import.meta.url);
const { executablePath } = require('../../.puppeteerrc.cjs') as { executablePath?: string };

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });
const eventually = <T>(look: () => T | Promise<T>) => expect.poll(look, { timeout: 60_000 });

describe.skipIf(executablePath === undefined)('the live page (needs Chromium)', () => {
  let browser: Browser;
  let program: Program;
  let port: string;
  let ui: string;

  beforeAll(async () => {
    program = new Program('src/main.ts', [
      ...['--listen', '127.0.0.1:0', '--upstream', 'demo', '--trace-ui', '127.0.0.1:0'],
    ]);
    [, ui = ''] = await program.until(/trace explorer on (\S+)/);
    [, port = ''] = await program.until(/listening on http:\/\/127\.0\.0\.1:(\d+)/);
    browser = await chromium.launch({ executablePath: executablePath!, args: ['--no-sandbox', '--disable-gpu'] });
  });
  afterAll(() => browser?.close());

  test('lists each request with what came of it, as it ends; a hostile path is text; one opens by keyboard', async () => {
    const page = await browser.newPage();
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(String(error)));
    page.on('dialog', (dialog) => void errors.push(dialog.message()));
    await page.goto(ui);
    await page.locator('#requests-count', { hasText: 'No request yet' }).waitFor();
    // the port encodes what an address can't hold; entities are left as they are
    const hostile = "/'&lt;img%20src=x&gt;";
    const encoded = '/%3Cimg/src=x/onerror=alert(1)%3E';
    for (const [i, path] of ['/first', '/status/503', hostile, decodeURI(encoded)].entries()) {
      const [answer] = (await once(get({ host: '127.0.0.1', port, path, agent: false }), 'response')) as [
        IncomingMessage,
      ];
      answer.resume();
      await once(answer, 'end');
      await page.locator('#requests-rows tr').nth(i).waitFor();
    }
    const cells = await page
      .locator('#requests-rows tr')
      .evaluateAll((rows) => rows.map((row) => [...(row as any).cells].slice(0, -1).map((cell) => cell.innerText)));
    expect(cells.map(([, method, path, status]) => [method, path, status])).toEqual([
      ['GET', encoded, '200'],
      ['GET', hostile, '200'],
      ['GET', '/status/503', '503'],
      ['GET', '/first', '200'],
    ]);
    for (const [time, , , , duration] of cells) {
      expect(time).toMatch(/^\d\d:\d\d:\d\d$/);
      expect(duration).toMatch(/^[\d.]+ (?:µs|ms|s)$/);
    }
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      await page.reload();
      await page.locator('#requests-rows tr').nth(3).waitFor();
      await page.evaluate(readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8'));
      const { violations } = await page.evaluate(() => (globalThis as any).axe.run({ resultTypes: ['violations'] }));
      expect(violations.filter(({ impact }: { impact: string }) => /serious|critical/.test(impact))).toEqual([]);
    }
    await page.locator('#requests-rows a', { hasText: '/status/503' }).focus();
    await page.keyboard.press('Enter');
    await page.locator('#tree', { hasText: 'HttpProxy::process_request' }).waitFor();
    await page.keyboard.press('End');
    await eventually(() => page.locator('#wire').textContent()).toContain('GET /status/503 HTTP/1.1');
    expect(errors).toEqual([]);
    await page.close();
  });
});
