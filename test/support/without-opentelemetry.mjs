// Given to `node --import`: a process in which OpenTelemetry's packages are not installed.
import * as modules from 'node:module';

const missing = (name) => name.startsWith('@opentelemetry/');
const error = (name) => Object.assign(new Error(`Cannot find package ${name}`), { code: 'ERR_MODULE_NOT_FOUND' });

if ('registerHooks' in modules) {
  modules.registerHooks({
    resolve(name, context, next) {
      if (missing(name)) throw error(name);
      return next(name, context);
    },
  });
} else {
  // Node 20; what newer ones warn of
  const hook = `const missing = ${missing}, error = ${error};
  export async function resolve(name, context, next) {
    if (missing(name)) throw error(name);
    return next(name, context);
  }`;
  modules.register(`data:text/javascript,${encodeURIComponent(hook)}`);
}
