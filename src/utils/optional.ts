/** Packages that are loaded when they are used, and those that only some programs need. */
import { createRequire } from 'node:module';

/**
 * The package `name`, which is always installed, loaded when it is first asked for: a program that only imports the
 * port doesn't wait for it. Of CommonJS modules, because what asks for it can't wait.
 */
export function lazily<T>(name: string): () => T {
  let loaded: T | undefined;
  return () => {
    loaded ??= createRequire(import.meta.url)(name) as T;
    return loaded;
  };
}

/** A package is used that isn't installed. */
export class MissingPackage extends Error {
  /** Always `MissingPackage`. */
  override readonly name = 'MissingPackage';
}

/** What to say of a package that isn't there: `what` needs it. */
function missing(name: string, what: string, cause?: unknown): MissingPackage {
  return new MissingPackage(`${what}: the package "${name}" is not installed; npm install ${name}`, { cause });
}

/** Whether an import failed because this package isn't there, rather than for what is wrong in it. */
function isMissing(error: unknown, name: string): boolean {
  const { code, message } = error as NodeJS.ErrnoException;
  return (code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND') && message.includes(`'${name}'`);
}

/**
 * The package `name`, of CommonJS modules. Throws {@link MissingPackage} in one line if it isn't installed; `what` needs
 * it.
 */
export function optional<T>(name: string, what: string): T {
  try {
    return createRequire(import.meta.url)(name) as T;
  } catch (error) {
    if (isMissing(error, name)) throw missing(name, what, error);
    throw error;
  }
}
