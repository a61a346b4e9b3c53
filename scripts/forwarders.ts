/**
 * The methods of `Hooks` in src/proxy/hooks.ts, which call an application's hooks on: made from the hooks of `ProxyHttp`
 * by `npm run tables`.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';

const TRAIT = 'src/proxy/proxy-trait.ts';
const HOOKS = 'src/proxy/hooks.ts';
const BEGIN = `  // made from ${TRAIT} by \`npm run tables\`: don't edit it\n`;
const END = '  // end of what is made\n';

/** These only give a value, and no record has a call of them. */
const WITHOUT_SPAN = ['requestSummary', 'isPurge'];

/** As long as a line may be: Biome's `lineWidth`. */
const LINE = 120;

/** `head(items)tail`, in one line if that fits, else an item a line: as Biome has it. */
function call(head: string, items: string[], tail: string): string {
  const line = `${head}(${items.join(', ')})${tail}`;
  if (line.length <= LINE) return `${line}\n`;
  const indent = ' '.repeat(head.search(/\S/));
  return `${head}(\n${items.map((item) => `${indent}  ${item},\n`).join('')}${indent})${tail}\n`;
}

function forwarder(hook: ts.MethodDeclaration, source: ts.SourceFile): string {
  const name = hook.name.getText(source);
  const params = hook.parameters.map((param) => ({
    name: param.name.getText(source).replace(/^_/, ''),
    type: param.type!.getText(source),
  }));
  const returned = hook.type!.getText(source);
  const signature = call(
    `  ${name}`,
    params.map((param) => `${param.name}: ${param.type}`),
    `: ${returned} {`,
  );
  const forwarded = call(
    `    ${returned === 'void' ? '' : 'return '}this.#app.${name}`,
    params.map((param) => param.name),
    ';',
  );
  return `${WITHOUT_SPAN.includes(name) ? '' : '  @hook\n'}${signature}${forwarded}  }\n`;
}

/** src/proxy/hooks.ts with the methods that the trait asks for. Throws what keeps it from being made. */
export function hooksFile(root: string): Record<string, string> {
  const source = ts.createSourceFile(TRAIT, readFileSync(join(root, TRAIT), 'utf8'), ts.ScriptTarget.Latest, true);
  const trait = source.statements.filter(ts.isClassDeclaration).find(({ name }) => name?.text === 'ProxyHttp');
  if (trait === undefined) throw new Error(`${TRAIT}: there is no class ProxyHttp`);
  const made = trait.members.filter(ts.isMethodDeclaration).map((hook) => forwarder(hook, source));
  const now = readFileSync(join(root, HOOKS), 'utf8');
  const [from, to] = [now.indexOf(BEGIN), now.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`${HOOKS}: the two comments around what is made are missing`);
  return { [HOOKS]: `${now.slice(0, from + BEGIN.length)}${made.join('\n')}${now.slice(to)}` };
}
