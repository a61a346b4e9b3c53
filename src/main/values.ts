/** How the command line's values are read. Each throws a {@link Complaint} that names the option. */
import { Option } from 'commander';
import { parseFilter } from '../log.ts';
import { isViaName } from '../proxy/forwarding.ts';
import { Complaint } from './complaint.ts';

/** What `--log-level` or `PINGORA_LOG` may say. */
export const filter = (value: string): string => {
  try {
    parseFilter(value);
    return value;
  } catch (error) {
    const from = process.env.PINGORA_LOG === value ? 'PINGORA_LOG' : '--log-level';
    throw new Complaint(`${from} ${(error as Error).message}`, 2);
  }
};

/** `1/N`. */
export const oneIn = (value: string): number => {
  const every = Number(/^1\/(\d+)$/.exec(value)?.[1] ?? 0);
  if (every === 0) throw new Complaint(`--trace ${value}: write 1/N, as 1/100 for one request in a hundred`, 2);
  return every;
};

/** A number of threads. */
export const count = (value: string): number => {
  if (/^[1-9]\d{0,3}$/.test(value)) return Number(value);
  throw new Complaint(`--threads ${value}: write a whole number from 1, as --threads 2`, 2);
};

/** An option of so many seconds, which is kept in milliseconds. */
export const seconds = (flag: string, what: string, given?: number, mayBeZero = given !== undefined): Option => {
  const option = new Option(`--${flag} <seconds>`, given === undefined ? what : `${what}; 0: no limit`);
  if (given !== undefined) option.default(given * 1000, String(given));
  return option.argParser((value) => {
    const isTime = /^\d{1,7}(?:\.\d{1,3})?$/.test(value) && (Number(value) > 0 || mayBeZero);
    if (isTime) return Number(value) * 1000;
    throw new Complaint(`--${flag} ${value}: write a number of seconds, as --${flag} ${given ?? 5}`, 2);
  });
};

/** An option of a whole number. */
export const number = (flag: string, what: string, given: number): Option =>
  new Option(`--${flag} <n>`, what).default(given).argParser((value) => {
    if (/^\d{1,9}$/.test(value)) return Number(value);
    throw new Complaint(`--${flag} ${value}: write a whole number, as --${flag} ${given}`, 2);
  });

/** A number of bytes; infinite for 0. */
export const size = (value: string): number => {
  const found = /^(\d{1,9})([kmg]?)$/i.exec(value);
  if (found === null) throw new Complaint(`--max-body ${value}: write a number of bytes, as 100m or 10g`, 2);
  if (Number(found[1]) === 0) return Number.POSITIVE_INFINITY;
  return Number(found[1]) * 1024 ** ['', 'k', 'm', 'g'].indexOf(found[2]!.toLowerCase());
};

/** A path that is asked for. */
export const healthPath = (value: string): string => {
  if (/^\/[!-~]*$/.test(value)) return value;
  throw new Complaint(`--health-check-path ${value}: write a path of visible characters, as /health`, 2);
};

/** What the origins are asked for over TLS. */
export const serverName = (value: string): string => {
  if (/^[\w.:-]{1,253}$/.test(value)) return value;
  throw new Complaint(`--sni ${value}: write the name of a host, as --sni example.com`, 2);
};

/** A name for `Via`. */
export const viaName = (value: string): string => {
  if (isViaName(value)) return value;
  throw new Complaint(`--via ${value}: write one word of letters, digits and -._~, as --via edge-1`, 2);
};
