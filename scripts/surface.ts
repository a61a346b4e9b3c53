/**
 * The whole surface of the package, as a file that is compared: `npm run surface [-- --check]`.
 *
 * Each entry's exports with their declarations, without comments and bodies; where a comment is missing it says so. What
 * an exported declaration refers to has to be exported too, by whichever entry.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Command } from 'commander';
import ts from 'typescript';
import { projectRoot } from '../src/tracing/sites.ts';
import { declarations, entries, publicSymbols, resolved } from './declarations.ts';

/** Where the report is kept. */
export const REPORT = join(projectRoot, 'docs/surface.txt');

/** What {@link surface} found. */
export interface Surface {
  /** The report. */
  readonly text: string;
  /** `Name.member refers to Type of file`: what users meet and can't name. */
  readonly unexported: readonly string[];
  /** `Name.member`: what has no comment. */
  readonly undocumented: readonly string[];
}

/** A program of the declarations, which are nowhere on disk. */
function programOf(texts: ReadonlyMap<string, string>, roots: readonly string[]): ts.Program {
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: ['node'],
    strict: true,
    noEmit: true,
  };
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (path) => texts.has(path) || fileExists(path);
  host.readFile = (path) => texts.get(path) ?? readFile(path);
  host.getSourceFile = (path, version, ...rest) => {
    const text = texts.get(path);
    return text === undefined ? getSourceFile(path, version, ...rest) : ts.createSourceFile(path, text, version, true);
  };
  // nothing is below it on disk
  host.directoryExists = () => true;
  return ts.createProgram([...roots], options, host);
}

const printer = ts.createPrinter({ removeComments: true, newLine: ts.NewLineKind.LineFeed });

const isPrivate = (node: ts.Node) =>
  (ts.canHaveModifiers(node) && ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.PrivateKeyword)) ||
  (ts.isClassElement(node) && node.name !== undefined && ts.isPrivateIdentifier(node.name));

/** The parts of a declaration that have a comment of their own. */
function membersOf(node: ts.Declaration): readonly ts.ClassElement[] | readonly ts.TypeElement[] {
  if (ts.isClassDeclaration(node)) return node.members.filter((member) => !isPrivate(member));
  return ts.isInterfaceDeclaration(node) ? node.members : [];
}

/** A variable's comment stands at its statement. */
const commented = (node: ts.Node): ts.Node => (ts.isVariableDeclaration(node) ? node.parent.parent : node);

const hasComment = (node: ts.Node) => ts.getJSDocCommentsAndTags(commented(node)).length > 0;

const nameOf = (node: ts.Node): string => {
  const { name } = node as { name?: ts.Node };
  if (name !== undefined) return name.getText();
  return ts.isConstructorDeclaration(node) ? 'constructor' : node.getText().split('\n')[0]!;
};

/** Makes the report of the sources as they are. */
export function surface(): Surface {
  const out = join(projectRoot, 'dist');
  const texts = declarations();
  const modules = entries().map(({ specifier, source }) => ({
    specifier,
    file: join(out, `${relative(join(projectRoot, 'src'), source).replace(/\.ts$/, '')}.d.ts`),
  }));
  const files = modules.map(({ file }) => file);
  const program = programOf(texts, files);
  const checker = program.getTypeChecker();
  const shown = publicSymbols(program, files);
  const unexported = new Set<string>();
  const undocumented: string[] = [];

  /** Note what `node` refers to that isn't exported. */
  const look = (node: ts.Node, where: string): void => {
    if (isPrivate(node)) return;
    const reference = ts.isTypeReferenceNode(node)
      ? node.typeName
      : ts.isExpressionWithTypeArguments(node)
        ? node.expression
        : ts.isTypeQueryNode(node)
          ? node.exprName
          : ts.isImportTypeNode(node)
            ? node.qualifier
            : undefined;
    const symbol = reference && checker.getSymbolAtLocation(reference);
    if (symbol !== undefined) {
      const target = resolved(checker, symbol);
      const [declared] = target.declarations ?? [];
      const isOwn = declared !== undefined && texts.has(declared.getSourceFile().fileName);
      if (isOwn && !ts.isTypeParameterDeclaration(declared) && !ts.isParameter(declared) && !shown.has(target)) {
        unexported.add(`${where} refers to ${target.name} of ${relative(out, declared.getSourceFile().fileName)}`);
      }
    }
    ts.forEachChild(node, (child) => look(child, where));
  };

  const described = (name: string, symbol: ts.Symbol): string => {
    const parts = (symbol.declarations ?? []).filter((node) => texts.has(node.getSourceFile().fileName));
    return parts
      .map((node) => {
        const members = membersOf(node);
        for (const part of members.length > 0 ? members : [node]) {
          look(part, part === node ? name : `${name}.${nameOf(part)}`);
        }
        if (!hasComment(node) && !ts.isSourceFile(node)) undocumented.push(name);
        // one comment will do for all the ways in which a method can be called
        const told = new Set(members.filter(hasComment).map(nameOf));
        for (const member of members) if (!told.has(nameOf(member))) undocumented.push(`${name}.${nameOf(member)}`);
        const kept = ts.isClassDeclaration(node)
          ? ts.factory.updateClassDeclaration(
              node,
              node.modifiers,
              node.name,
              node.typeParameters,
              node.heritageClauses,
              members as readonly ts.ClassElement[],
            )
          : commented(node);
        return printer.printNode(ts.EmitHint.Unspecified, kept, node.getSourceFile());
      })
      .join('\n');
  };

  const told = new Map<ts.Symbol, string>();
  const sections = modules.map(({ specifier, file }) => {
    const module = checker.getSymbolAtLocation(program.getSourceFile(file)!)!;
    const exported = checker
      .getExportsOfModule(module)
      .map((symbol) => [symbol.name, resolved(checker, symbol)] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1));
    const blocks = exported.map(([name, symbol]) => {
      const before = told.get(symbol);
      if (before !== undefined) return `// ${name}: as ${before}`;
      told.set(symbol, `${specifier} ${name}`);
      return described(name, symbol);
    });
    return `## ${specifier}\n\n${blocks.join('\n\n')}\n`;
  });
  const head = '# What the package exports, entry by entry. Made by `npm run surface`; what changes it is seen here.\n';
  return { text: [head, ...sections].join('\n'), unexported: [...unexported].sort(), undocumented };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await new Command('surface')
    .description('Write the report of everything that the package exports.')
    .option('--check', 'only say whether it is as it was, and what is wrong with it')
    .action(({ check }: { check?: boolean }) => {
      const { text, unexported, undocumented } = surface();
      for (const line of unexported) process.stderr.write(`${line}, which no entry exports\n`);
      for (const line of undocumented) process.stderr.write(`${line} has no comment\n`);
      const name = relative(process.cwd(), REPORT);
      if (!check) writeFileSync(REPORT, text);
      else if (readFileSync(REPORT, 'utf8') !== text)
        process.stderr.write(`${name} is not up to date: npm run surface\n`);
      else if (unexported.length + undocumented.length === 0) return;
      if (check || unexported.length + undocumented.length > 0) process.exitCode = 1;
    })
    .parseAsync();
}
