/** The title of a test of something that Node doesn't document: which Node has changed it is what one wants to know. */
export function inThisNode(what: string): string {
  return `Node ${process.version}: ${what}`;
}
