/** `pingora-traced check FILE`. */
import { PingoraError } from '../error/lib.ts';
import { ServerConf } from '../server/configuration/mod.ts';

/** Print the configuration in effect. Throws, in one line, what is wrong with the file. */
export function check(file: string): void {
  try {
    process.stdout.write(`# ${file} is right; in effect is\n${ServerConf.loadFromYaml(file).toYaml()}`);
  } catch (error) {
    throw error instanceof PingoraError ? new Error(error.context ?? error.toString(), { cause: error }) : error;
  }
}
