/** The changes that can be made to a source, each of which a test should notice. */
import ts from 'typescript';

export interface Change {
  /** Below the project. */
  readonly file: string;
  readonly line: number;
  readonly what: string;
  /** The whole file, changed. */
  readonly changed: string;
}

const OPERATORS = new Map<ts.SyntaxKind, string>([
  [ts.SyntaxKind.LessThanToken, '<='],
  [ts.SyntaxKind.LessThanEqualsToken, '<'],
  [ts.SyntaxKind.GreaterThanToken, '>='],
  [ts.SyntaxKind.GreaterThanEqualsToken, '>'],
  [ts.SyntaxKind.EqualsEqualsEqualsToken, '!=='],
  [ts.SyntaxKind.ExclamationEqualsEqualsToken, '==='],
  [ts.SyntaxKind.AmpersandAmpersandToken, '||'],
  [ts.SyntaxKind.BarBarToken, '&&'],
  [ts.SyntaxKind.PlusToken, '-'],
  [ts.SyntaxKind.MinusToken, '+'],
  [ts.SyntaxKind.PlusEqualsToken, '-='],
]);

/** Statements whose loss is nobody's: what is only read by people. */
const TALK = /^(?:this\.)?(?:log|console|tracing|note|observer)\b/;

class Source {
  readonly file: string;
  readonly text: string;
  readonly tree: ts.SourceFile;
  readonly changes: Change[] = [];

  constructor(file: string, text: string) {
    this.file = file;
    this.text = text;
    this.tree = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  }

  /** Put `replacement` in the place of `node`. */
  replace(node: ts.Node, replacement: string, what: string): void {
    const from = node.getStart(this.tree);
    const { line } = this.tree.getLineAndCharacterOfPosition(from);
    const changed = this.text.slice(0, from) + replacement + this.text.slice(node.end);
    this.changes.push({ file: this.file, line: line + 1, what, changed });
  }
}

const brief = (text: string) => (text.length > 60 ? `${text.slice(0, 57)}…` : text).replace(/\s+/g, ' ');

/** Every change that can be made to `text`. */
export function changesOf(file: string, text: string): Change[] {
  const source = new Source(file, text);
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isTypeNode(node) || ts.isInterfaceDeclaration(node)) return;
    if (ts.isDecorator(node) || ts.isTypeAliasDeclaration(node)) return;
    const said = node.getText(source.tree);
    if (ts.isExpressionStatement(node) && TALK.test(said)) return;
    if (ts.isBinaryExpression(node)) {
      const other = OPERATORS.get(node.operatorToken.kind);
      const isText = ts.isStringLiteral(node.left) || ts.isStringLiteral(node.right);
      if (other !== undefined && !(isText && other === '-')) {
        source.replace(node.operatorToken, other, `${node.operatorToken.getText()} became ${other} in ${brief(said)}`);
      }
    } else if (ts.isIfStatement(node)) {
      const condition = node.expression.getText();
      source.replace(node.expression, `!(${condition})`, `if (${brief(condition)}) was turned round`);
    } else if (node.kind === ts.SyntaxKind.TrueKeyword || node.kind === ts.SyntaxKind.FalseKeyword) {
      source.replace(node, said === 'true' ? 'false' : 'true', `${said} was turned round`);
    } else if (ts.isNumericLiteral(node) && !ts.isPropertyAssignment(node.parent)) {
      source.replace(node, `(${said} + 1)`, `${said} became one more`);
    } else if (ts.isExpressionStatement(node) && !said.startsWith('super')) {
      source.replace(node, ';', `left out: ${brief(said)}`);
    } else if (ts.isThrowStatement(node)) {
      source.replace(node, ';', `left out: ${brief(said)}`);
    } else if (ts.isReturnStatement(node) && node.expression?.kind === ts.SyntaxKind.Identifier) {
      source.replace(node, 'return undefined as never;', `nothing is returned for ${brief(said)}`);
    }
    ts.forEachChild(node, visit);
  };
  visit(source.tree);
  return source.changes;
}

/** `rust.method(…)` and its like, by which functions are traced. */
const isTracing = (node: ts.Expression): boolean =>
  ts.isCallExpression(node) && /^rust\.\w+$/.test(node.expression.getText());

/** Each traced function with its body emptied, one at a time. */
export function emptied(file: string, text: string): Change[] {
  const source = new Source(file, text);
  const empty = (name: string, body: ts.Node | undefined) => {
    if (body === undefined || (ts.isBlock(body) && body.statements.length === 0)) return;
    source.replace(body, ts.isBlock(body) ? '{}' : '(undefined as never)', `${name} does nothing`);
  };
  const visit = (node: ts.Node): void => {
    if (ts.isMethodDeclaration(node)) {
      const traced = ts
        .getDecorators(node)
        ?.some(({ expression }) => isTracing(expression) || /^rust\./.test(expression.getText()));
      if (traced) empty(node.name.getText(), node.body);
    } else if (ts.isCallExpression(node) && isTracing(node)) {
      const [name, body] = node.arguments;
      if (body !== undefined && (ts.isArrowFunction(body) || ts.isFunctionExpression(body))) {
        empty(name!.getText(), body.body);
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(source.tree);
  return source.changes;
}
