/**
 * The server process of a scenario: the same application and the same order of calls as the recorded program, traced
 * from its first line. It hands its trace over as it exits.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { TlsSettings } from '../listeners/tls.ts';
import { TcpHealthCheck } from '../load-balancing/health-check.ts';
import { LoadBalancer } from '../load-balancing/lib.ts';
import { RoundRobin } from '../load-balancing/selection/mod.ts';
import { httpProxyService } from '../proxy/lib.ts';
import { onAsk } from '../runtime/process-link.ts';
import { workerNumber } from '../runtime/worker.ts';
import { workers } from '../runtime/workers.ts';
import { Opt } from '../server/configuration/mod.ts';
import { isDaemon } from '../server/daemon.ts';
import { Server } from '../server/mod.ts';
import { backgroundService } from '../services/background.ts';
import { Service } from '../services/listening.ts';
import { exportTrace } from '../tracing/export.ts';
import type { TracePart } from '../tracing/merge.ts';
import { Recorder } from '../tracing/recorder.ts';
import { projectRoot } from '../tracing/sites.ts';
import { values } from '../values/mod.ts';
import { Echo, LB, SlowToLog } from './app.ts';
import type { Addresses } from './client.ts';
import { serveControl } from './control.ts';
import { findScenario } from './index.ts';
import { type Command, partOf, type Report, type ServerPlan } from './messages.ts';
import { Phases } from './phases.ts';
import { Progress } from './progress.ts';
import type { Scenario } from './scenario.ts';
import { pidFile } from './server-process.ts';
import { setupFile, setupOf } from './setups/mod.ts';
import { follow } from './untraced.ts';

const plan = JSON.parse(process.argv[2] ?? '{}') as ServerPlan;
const found = findScenario(plan.scenario);
if (found === undefined) throw new Error(`no scenario '${plan.scenario}'`);
const scenario: Scenario = found;

const progress = new Progress();
const recorder = new Recorder({ runs: true, observe: progress.observe, values: values(), events: {} });
/** Where it listens, if no trace says so. */
const listening = plan.traced ? undefined : follow(progress);
if (plan.traced) recorder.attach();
let report = (message: Report): void => void process.send?.(message);

process.on('exit', (code) => {
  if (code !== 0 || (scenario.daemon && !isDaemon())) return;
  const { setup } = scenario;
  const ofAll = `src/scenarios/${scenario.app?.phases ? 'phases' : 'app'}.ts`;
  const app = join(projectRoot, setup === undefined ? ofAll : setupFile(setup));
  const trace = exportTrace(recorder, scenario.name, [app], workerNumber());
  const part: TracePart = { thread: workerNumber(), origin: recorder.origin, trace };
  writeFileSync(partOf(plan, workerNumber()), JSON.stringify(part));
});
// The runner is gone: nobody else will end this process and clean up.
function orphan(): never {
  rmSync(plan.dir, { recursive: true, force: true });
  process.exit(1);
}
if (workerNumber() > 0) onAsk('obey', (command: Omit<Command, 'id'>) => obey(command as Command));
else if (isDaemon()) report = await serveControl(join(plan.dir, 'control.sock'), obeyAndReport, orphan);
else {
  if (!process.connected) orphan();
  process.on('disconnect', orphan);
  process.on('message', obeyAndReport);
}

function obeyAndReport(command: Command): void {
  Promise.all([obey(command), workers.askAll('obey', command)]).then(
    () => report({ done: command.id }),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
}

async function obey(command: Command): Promise<void> {
  if ('phase' in command) recorder.phase = command.phase;
  else if ('fn' in command) {
    const times = 'ended' in command ? command.ended : progress.ended(command.fn) + command.more;
    await progress.until(() => progress.ended(command.fn) >= times);
  } else if ('listening' in command)
    await progress.until(() => progress.begun('Listener::accept') >= command.listening);
  else if (command.idle === 'connections') await progress.idle('Service::handle_event');
  else await progress.idle('HttpProxy::process_request', 'HttpProxy::finish');
  await new Promise((resolve) => setImmediate(resolve));
}

async function main(): Promise<void> {
  const opt = new Opt();
  opt.upgrade = scenario.takesOver ?? false;
  const server = Server.new(opt);
  const { threads: count = 1, workStealing = true } = scenario;
  Object.assign(server.configuration, scenario.ends?.conf, {
    threads: count,
    workStealing,
    upgradeSock: join(plan.dir, 'upgrade.sock'),
    daemon: scenario.daemon ?? false,
    pidFile: pidFile(plan),
    ...(scenario.daemon && { user: userInfo().username }),
  });
  await server.bootstrap();
  if (scenario.setup !== undefined) {
    const origin = `127.0.0.1:${plan.origin}`;
    const setup = await setupOf(scenario.setup);
    for (const service of await setup({ server, plan, origin })) server.addService(service);
    return server.runForever();
  }
  const upstreams = await LoadBalancer.tryFromIter([`127.0.0.1:${plan.origin}`], RoundRobin);
  if (scenario.beside === 'health-check') {
    upstreams.setHealthCheck(TcpHealthCheck.new());
    upstreams.healthCheckFrequency = 1000;
  }
  const background = backgroundService('health check', upstreams);
  const options = scenario.app ?? {};
  const proxy = options.phases
    ? httpProxyService(server.configuration, new Phases(plan.origin, plan.closed))
    : httpProxyService(
        server.configuration,
        new (options.slowLogging ? SlowToLog : LB)(background.task(), options, plan.closed, plan.dir),
      );
  for (const listener of scenario.listeners) {
    if (listener === 'tcp') proxy.addTcp(plan.takesOver ?? '127.0.0.1:0');
    else if (listener === 'uds') proxy.addUds(join(plan.dir, 'proxy.sock'));
    else {
      const tls = TlsSettings.intermediate(plan.cert, plan.key);
      if (listener === 'h2') tls.enableH2();
      proxy.addTlsWithSettings('127.0.0.1:0', undefined, tls);
    }
  }
  if (scenario.threads !== undefined) proxy.events = { onListening };
  server.addService(proxy);
  if (scenario.beside === 'health-check') server.addService(background);
  if (scenario.beside === 'echo') {
    const echo = Service.new('Echo', new Echo());
    echo.addTcp('127.0.0.1:0');
    server.addService(echo);
  }
  if (scenario.beside === 'prometheus') {
    const prometheus = Service.prometheusHttpService();
    prometheus.addTcp('127.0.0.1:0');
    server.addService(prometheus);
  }
  await server.runForever();
}

let onListening = () => {};
/** With threads: one of them accepts. Without, the span says so. */
const bound = new Promise<void>((resolve) => {
  onListening = resolve;
});

const besideListens = scenario.beside === 'echo' || scenario.beside === 'prometheus';

async function ready(): Promise<void> {
  const listeners = scenario.listeners.length + (besideListens ? 1 : 0);
  if (scenario.threads !== undefined) {
    await bound;
    const accepting = { listening: listeners };
    await (scenario.workStealing === false ? obey({ id: 0, ...accepting }) : workers.askAll('obey', accepting));
    report({ ready: addresses() });
    return;
  }
  await progress.until(
    () =>
      progress.begun('Listener::accept') >= listeners &&
      progress.begun('Server::main_loop') === 1 &&
      (!(scenario.checked || scenario.beside === 'health-check') || progress.ended('Backends::run_health_check') === 1),
  );
  report({ ready: addresses() });
}

/** Where the server listens. Services start in the reverse order of their being added. */
function addresses(): Addresses {
  const bound =
    listening ??
    recorder.spans
      .filter(({ site }) => site.fn === 'ListenerEndpoint::listen')
      .map(({ attributes }) => String(attributes.address));
  const port = (address: string | undefined) => Number(address?.split(':').at(-1));
  const found: Addresses = {};
  if (besideListens) found.beside = port(bound[0]);
  for (const [index, listener] of scenario.listeners.entries()) {
    const address = bound[besideListens ? index + 1 : index];
    if (listener === 'tcp') found.tcp = port(address);
    else if (listener === 'uds') found.uds = address!;
    else found.tls = port(address);
  }
  return found;
}

await Promise.all([
  plan.traced ? recorder.root('main', main) : main(),
  ...(workerNumber() === 0 && (isDaemon() || !scenario.daemon) ? [ready()] : []),
]);
