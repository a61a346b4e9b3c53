/** Where in Pingora the functions of the port are. */
import { declaredSites, rustFunctions } from '../../src/trace/sites.ts';

/** By the port's `file:line`: a link, in Markdown, to the function that is ported there. */
export function pingoraLinks(): Map<string, string> {
  const rustLines = rustFunctions();
  const found = new Map<string, string>();
  for (const { fn, rust, file, line } of declaredSites()) {
    if (rust === null) continue;
    const address = `https://github.com/cloudflare/pingora/blob/0.1.0/${rust}#L${rustLines.get(`${rust}#${fn}`)}`;
    found.set(`${file}:${line}`, `[\`${fn}\`](${address})`);
  }
  return found;
}
