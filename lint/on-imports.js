/** Handlers that call `check` with each import and export from elsewhere, types included: node and specifier. */
export function onImports(check) {
  const checked = (node) => {
    const specifier = node.source?.value;
    if (typeof specifier === 'string') check(node, specifier);
  };
  return {
    ImportDeclaration: checked,
    ExportAllDeclaration: checked,
    ExportNamedDeclaration: checked,
    ImportExpression: checked,
    TSImportType: checked,
  };
}
