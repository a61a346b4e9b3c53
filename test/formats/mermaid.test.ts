import { beforeAll, describe, expect, test } from 'vitest';
import { printMermaid } from '../../src/formats/mermaid.ts';
import { findScenario } from '../../src/scenarios/index.ts';
import type { TraceDocument } from '../../src/tracing/model.ts';
import { runScenario } from '../support/scenario.ts';
import { makeTrace } from '../tracing/made.ts';

const at = (folder: string) => ({ ts: { file: `src/${folder}/mod.ts`, line: 1 } });
const made = makeTrace([
  {
    fn: 'Server::run_forever',
    span: at('server'),
    calls: [
      { fn: 'Server::main_loop', span: at('server') },
      { fn: '<Service as Service>::name', span: at('services') },
      { fn: 'l4::connect', span: { ...at('connectors'), status: 'error' } },
      { fn: 'Service::run_endpoint', task: 'endpoint #1; tcp', span: at('services') },
    ],
  },
]);

const arrows = (text: string) => text.split('\n').filter((line) => /->>|-->>|--x|-\)/.test(line));

describe('a sequence diagram', () => {
  test('has a box for each task and a participant for each module in it', () => {
    const text = printMermaid(made);
    expect(text).toMatch(/^sequenceDiagram\n {2}box task 1 main\n {4}participant t1_server as server\n/);
    expect(text).toContain('  box task 2 endpoint #35;1#59; tcp\n    participant t2_services as services\n  end\n');
  });

  test('has an arrow for each call to another module, one back, and one for a spawn', () => {
    expect(arrows(printMermaid(made)).map((line) => line.trim())).toEqual([
      't1_server->>t1_server: Server::run_forever',
      't1_server->>t1_services: #lt;Service as Service#gt;::name',
      't1_services-->>t1_server:',
      't1_server->>t1_connectors: l4::connect',
      't1_connectors--xt1_server: error',
      't1_server-)t2_services: spawn endpoint #35;1#59; tcp',
      't2_services->>t2_services: Service::run_endpoint',
    ]);
  });

  test('draws as many levels as it is told, and only the modules that are asked for', () => {
    expect(arrows(printMermaid(made, { depth: 1 }))).toHaveLength(3);
    const text = printMermaid(made, { only: ['server', 'services'] });
    expect(text).not.toContain('connectors');
    expect(text).toContain('t1_server-)t2_services');
  });

  test('doesn’t draw the end of a call that never ended', () => {
    const open = makeTrace([
      { fn: 'a', span: at('server'), calls: [{ fn: 'b', span: { ...at('proxy'), end: null } }] },
    ]);
    expect(arrows(printMermaid(open))).toHaveLength(2);
  });

  describe('of a real run', () => {
    let trace: TraceDocument;
    beforeAll(async () => {
      trace = await runScenario(findScenario('tls-h2')!);
    });

    test('is short enough to be drawn and names only participants that it has', () => {
      const text = printMermaid(trace);
      expect(arrows(text).length).toBeGreaterThan(10);
      expect(arrows(text).length).toBeLessThanOrEqual(60);
      const known = new Set([...text.matchAll(/participant (\w+)/g)].map(([, name]) => name));
      for (const line of arrows(text)) {
        const [, from, to] = /^ {2}(\w+?)(?:->>|-->>|--x|-\))(\w+): /.exec(line)!;
        expect(known).toContain(from);
        expect(known).toContain(to);
      }
      expect(new Set(text.match(/^ {2}box .*$/gm)).size).toBe(trace.tasks.length);
    });
  });
});
