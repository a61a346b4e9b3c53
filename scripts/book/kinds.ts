/** The directives that make a block of a page, as a part of a regular expression. */
export const KINDS = 'code|rust|prints|calls|frames|deviations|log|nav|contents|map';
