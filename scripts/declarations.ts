/** The declarations of what the package's entries export, as users see them: without what is internal. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { projectRoot } from '../src/tracing/sites.ts';

/** The package's entries: what is imported, and the module of `src` that it is. */
export function entries(): { specifier: string; source: string }[] {
  const { name, exports } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as {
    name: string;
    exports: Record<string, string | Record<string, string>>;
  };
  return Object.entries(exports).flatMap(([path, conditions]) =>
    typeof conditions === 'string'
      ? []
      : [{ specifier: name + path.slice(1), source: join(projectRoot, conditions['@pingora-traced/source']!) }],
  );
}

/** What an import or export stands for, rather than its name in this module. */
export function resolved(checker: ts.TypeChecker, symbol: ts.Symbol): ts.Symbol {
  return symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
}

/** The exports of the entries in `program`. */
export function publicSymbols(program: ts.Program, files: readonly string[]): Set<ts.Symbol> {
  const checker = program.getTypeChecker();
  const exportsOf = (module: ts.Symbol): ts.Symbol[] =>
    checker.getExportsOfModule(module).flatMap((symbol) => {
      const target = resolved(checker, symbol);
      // `export * as name`
      return target.flags & ts.SymbolFlags.ValueModule ? [target, ...exportsOf(target)] : [target];
    });
  return new Set(files.flatMap((file) => exportsOf(checker.getSymbolAtLocation(program.getSourceFile(file)!)!)));
}

/** The compiler leaves `.ts` in the declarations' imports. */
const SPECIFIER = /((?:from|import)\s*\(?\s*')(\.\.?\/[^']+)\.ts'/g;

/**
 * What is internal is left out of a class, and may be all that an internal interface asks for: the class then doesn't
 * say that it implements it.
 */
function withoutInternalInterfaces(program: ts.Program): ts.TransformerFactory<ts.SourceFile | ts.Bundle> {
  const checker = program.getTypeChecker();
  const shown = publicSymbols(
    program,
    entries().map(({ source }) => source),
  );
  const isShown = ({ expression }: ts.ExpressionWithTypeArguments) => {
    const symbol = checker.getSymbolAtLocation(ts.getOriginalNode(expression));
    return symbol !== undefined && shown.has(resolved(checker, symbol));
  };
  return ({ factory, ...context }) => {
    const visit = (node: ts.Node): ts.Node => {
      if (!ts.isClassDeclaration(node)) return ts.visitEachChild(node, visit, { factory, ...context });
      const clauses = node.heritageClauses?.flatMap((clause) => {
        if (clause.token === ts.SyntaxKind.ExtendsKeyword) return [clause];
        const types = clause.types.filter(isShown);
        return types.length === 0 ? [] : [factory.updateHeritageClause(clause, types)];
      });
      const { modifiers, name, typeParameters, members } = node;
      return factory.updateClassDeclaration(node, modifiers, name, typeParameters, clauses, members);
    };
    return (file) => ts.visitNode(file, visit) as ts.SourceFile;
  };
}

/** Make them as if in `dist`, and their maps: paths and texts. Throws what the compiler has to say. */
export function declarations(): Map<string, string> {
  const { config } = ts.readConfigFile(join(projectRoot, 'tsconfig.build.json'), ts.sys.readFile);
  const { options, fileNames } = ts.parseJsonConfigFileContent(config, ts.sys, projectRoot);
  const program = ts.createProgram(fileNames, { ...options, outDir: join(projectRoot, 'dist') });
  const texts = new Map<string, string>();
  const write: ts.WriteFileCallback = (path, text) => {
    texts.set(path, path.endsWith('.d.ts') ? text.replace(SPECIFIER, "$1$2.js'") : text);
  };
  const transformers = { afterDeclarations: [withoutInternalInterfaces(program)] };
  const { diagnostics } = program.emit(undefined, write, undefined, true, transformers);
  const problems = [...ts.getPreEmitDiagnostics(program), ...diagnostics];
  if (problems.length === 0) return texts;
  const host = { getCanonicalFileName: (name: string) => name, getCurrentDirectory: () => projectRoot };
  throw new Error(ts.formatDiagnostics(problems, { ...host, getNewLine: () => '\n' }));
}
