/** A page for each scenario: what happens in it, its main path, and where to watch it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tours } from '../../explorer/tours.ts';
import { printTree } from '../../src/formats/tree.ts';
import { scenarios } from '../../src/scenarios/index.ts';
import type { Scenario } from '../../src/scenarios/scenario.ts';
import { compare, loadRecord } from '../../src/tracing/compare.ts';
import type { TraceDocument } from '../../src/tracing/model.ts';
import { SITE } from './sources.ts';

const explorer = (hash: string) => `${SITE}explorer/explorer.html#${hash}`;

function page({ name, about, does }: Scenario, trace: TraceDocument): string {
  const tour = tours.find(({ scenario }) => scenario === name);
  const record = loadRecord(name);
  const tree = printTree(trace, { level: 'main', width: 90, comparison: record && compare(record, trace.spans) });
  const links = [
    ...(tour === undefined ? [] : [`- [Take the tour: ${tour.title}](${explorer(`trace=${name}&tour=1`)})`]),
    `- [Step through it](${explorer(`trace=${name}`)})`,
    ...(record === null
      ? []
      : [`- [Compare it with what Pingora 0.1.0 called](${explorer(`trace=${name}&with=pingora-${name}`)})`]),
  ];
  return `---
title: "${name}"
group: Scenarios
---

# Scenario ${name}

${about[0]!.toUpperCase()}${about.slice(1)}.

${does.map((line) => `- ${line}`).join('\n')}

## Watch it

${links.join('\n')}

In a terminal: \`npm run trace -- ${name} --level main --wire\`

## Its main path

\`\`\`text
${tree.trimEnd()}
\`\`\`
`;
}

/** Write the pages into `folder`, and one that lists them. Returns the list's path; it names the others as its own. */
export function writeScenarioPages(folder: string, traces: ReadonlyMap<string, TraceDocument>): string[] {
  const made = scenarios.filter(({ name }) => traces.has(name));
  for (const scenario of made) {
    writeFileSync(join(folder, `scenario-${scenario.name}.md`), page(scenario, traces.get(scenario.name)!));
  }
  const rows = made.map(({ name, about }) => `| [${name}](scenario-${name}.md) | ${about.replaceAll('|', '\\|')} |`);
  const list = join(folder, 'scenarios.md');
  writeFileSync(
    list,
    `---
title: Scenarios
group: Scenarios
children:
${made.map(({ name }) => `  - ./scenario-${name}.md`).join('\n')}
---

# Scenarios

Each is a run of a real server, with real clients and a real origin.

| scenario | what happens |
| --- | --- |
${rows.join('\n')}
`,
  );
  return [list];
}
