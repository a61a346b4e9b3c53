/**
 * Makes the diagrams: `npm run diagrams`.
 *
 * Some sources in `diagrams/` are written by hand, the others are made here from runs of scenarios (their first line
 * says so). Each is rendered to an SVG of its name, which ends with the hash of its source: what hasn't changed isn't
 * rendered, and needs no browser. `--check` changes nothing and fails if anything would change.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { printMermaid } from '../src/formats/mermaid.ts';
import type { TraceDocument } from '../src/tracing/model.ts';
import { projectRoot } from '../src/tracing/sites.ts';
import { part, stable } from './book/calls.ts';
import { Traces } from './book.ts';

const DIAGRAMS = join(projectRoot, 'diagrams');

/** SVG text instead of HTML in it, which not everything that shows pictures can show. */
const CONFIG = {
  theme: 'neutral',
  deterministicIds: true,
  htmlLabels: false,
  flowchart: { htmlLabels: false, useMaxWidth: false, wrappingWidth: 320 },
  sequence: { useMaxWidth: false, mirrorActors: false, diagramMarginY: 10, messageMargin: 24 },
  class: { htmlLabels: false, useMaxWidth: false },
  state: { useMaxWidth: false },
} as const;

type Get = (scenario: string) => Promise<TraceDocument>;

const quoted = (text: string) => `"${text.replaceAll('"', "'").replaceAll('<', '#lt;').replaceAll('>', '#gt;')}"`;

/** Which task was spawned by which call of which task. */
const tasksOf = (scenario: string) => async (get: Get) => {
  const { tasks: all, spans } = stable(await get(scenario));
  const lines = ['flowchart TD'];
  for (const { id, name } of all) lines.push(`  t${id}[${quoted(name)}]`);
  for (const { id, spawnedBy } of all) {
    const by = spans.find((span) => span.id === spawnedBy);
    if (by !== undefined) lines.push(`  t${by.task} -- ${quoted(by.fn)} --> t${id}`);
  }
  return `${lines.join('\n')}\n`;
};

/** The hooks in the order in which they were called, in each of several scenarios. */
async function phases(get: Get): Promise<string> {
  const hook = /^(?:<app as ProxyHttp>|ProxyHttp)::(\w+)$/;
  const nodes = new Map<string, string>();
  const edges = new Map<string, string[]>();
  const node = (name: string, shape = `[${quoted(name)}]`) => {
    if (!nodes.has(name)) nodes.set(name, `  ${name}${shape}`);
    return name;
  };
  for (const scenario of ['h1', 'deny', 'retry', 'dead-upstream']) {
    const { spans } = await get(scenario);
    const called = spans.map(({ fn }) => hook.exec(fn)?.[1]).filter((name) => name !== undefined);
    // the hook of the body is called for every piece: once is enough for a picture
    const once = called.filter((name, i) => name !== called[i - 1]);
    const path = [node('request', '((request))'), ...once.map((name) => node(name)), node('done', '((done))')];
    for (const [i, to] of path.entries()) {
      if (i === 0) continue;
      const edge = `${path[i - 1]}|${to}`;
      const by = edges.get(edge) ?? [];
      if (!by.includes(scenario)) edges.set(edge, [...by, scenario]);
    }
  }
  const lines = [...edges].map(([edge, by]) => {
    const [from, to] = edge.split('|');
    return by.includes('h1') ? `  ${from} --> ${to}` : `  ${from} -. ${by.join(', ')} .-> ${to}`;
  });
  return `${['flowchart TD', ...nodes.values(), ...lines].join('\n')}\n`;
}

async function keepalive(get: Get): Promise<string> {
  const trace = part(stable(await get('keepalive')), { from: 'Service::handle_event' });
  return printMermaid(trace, { depth: 4, only: ['services', 'apps', 'proxy'] });
}

async function streams(get: Get): Promise<string> {
  const trace = part(stable(await get('tls-h2')), { from: '<T as ServerApp>::process_new' });
  return printMermaid(trace, { depth: 5, only: ['apps', 'proxy', 'app'] });
}

async function retry(get: Get): Promise<string> {
  const trace = part(stable(await get('retry')), { from: 'HttpProxy::process_request' });
  // the system gives another port each time
  return printMermaid(trace, { depth: 3, only: ['proxy', 'app', 'connectors'] }).replace(
    /(127\.0\.0\.1):\d+/g,
    '$1:PORT',
  );
}

const made: Record<string, { from: string; make: (get: Get) => Promise<string> }> = {
  tasks: { from: 'tls-h2', make: tasksOf('tls-h2') },
  phases: { from: 'h1, deny, retry and dead-upstream', make: phases },
  endpoints: { from: 'uds', make: tasksOf('uds') },
  keepalive: { from: 'keepalive', make: keepalive },
  streams: { from: 'tls-h2', make: streams },
  retry: { from: 'retry', make: retry },
};

const hashOf = (source: string) =>
  createHash('sha256')
    .update(JSON.stringify([source, CONFIG]))
    .digest('hex')
    .slice(0, 16);
const svgOf = (name: string) => join(DIAGRAMS, `${name}.svg`);

function isRendered(name: string, source: string): boolean {
  return existsSync(svgOf(name)) && readFileSync(svgOf(name), 'utf8').includes(`<!-- source ${hashOf(source)} -->`);
}

async function render(sources: ReadonlyMap<string, string>): Promise<void> {
  const [{ renderMermaid }, { default: puppeteer }] = await Promise.all([
    import('@mermaid-js/mermaid-cli'),
    import('puppeteer'),
  ]);
  let browser: Awaited<ReturnType<typeof puppeteer.launch>>;
  try {
    const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
    browser = await puppeteer.launch({ headless: true, args });
  } catch {
    const names = [...sources.keys()].join(', ');
    throw new Error(`no Chromium to draw ${names}: install it, or say where it is in PUPPETEER_EXECUTABLE_PATH`);
  }
  try {
    for (const [name, source] of sources) {
      const options = { mermaidConfig: CONFIG, backgroundColor: 'white', svgId: name };
      const { data } = await renderMermaid(browser, source, 'svg', options);
      writeFileSync(svgOf(name), `${Buffer.from(data).toString().trimEnd()}\n<!-- source ${hashOf(source)} -->\n`);
    }
  } finally {
    await browser.close();
  }
}

async function main({ check }: { check?: boolean }): Promise<void> {
  const wrong: string[] = [];
  const traces = new Traces();
  await Promise.all(
    Object.entries(made).map(async ([name, { from, make }]) => {
      const file = join(DIAGRAMS, `${name}.mmd`);
      const before = existsSync(file) ? readFileSync(file, 'utf8') : '';
      const after = `%% Made by npm run diagrams from ${from}. Don't edit.\n${await make((scenario) => traces.get(scenario))}`;
      if (after === before) return;
      if (check) wrong.push(`diagrams/${name}.mmd is not what the scenarios give`);
      else writeFileSync(file, after);
    }),
  );
  const sources = readdirSync(DIAGRAMS)
    .filter((file) => file.endsWith('.mmd'))
    .sort();
  const changed = new Map<string, string>();
  for (const file of sources) {
    const name = file.slice(0, -'.mmd'.length);
    const source = readFileSync(join(DIAGRAMS, file), 'utf8');
    if (!isRendered(name, source)) changed.set(name, source);
  }
  for (const file of readdirSync(DIAGRAMS).filter((one) => one.endsWith('.svg'))) {
    if (!sources.includes(file.replace(/svg$/, 'mmd'))) wrong.push(`diagrams/${file} has no source`);
  }
  if (check) for (const name of changed.keys()) wrong.push(`diagrams/${name}.svg is not drawn from its source`);
  else if (changed.size > 0) await render(changed);
  for (const line of wrong) process.stderr.write(`${line}\n`);
  if (wrong.length > 0) process.exitCode = 1;
}

await new Command('diagrams')
  .description('Make the diagrams: sources from traces, SVGs from sources.')
  .option('--check', "change nothing; fail if a diagram isn't as it would be made")
  .action((options: { check?: boolean }) =>
    main(options).catch((error: Error) => {
      process.stderr.write(`${error.message}\n`);
      process.exitCode = 1;
    }),
  )
  .parseAsync();
