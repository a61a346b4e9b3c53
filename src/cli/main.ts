/**
 * `pingora-traced`: the project as one command. What a subcommand needs is loaded when it is called.
 */
import { Command } from 'commander';
import { complain } from '../main/say.ts';
import { type Shell, shells } from './shells.ts';

const NAME = 'pingora-traced';

const EXAMPLES = `
Examples:
  ${NAME} serve --listen 127.0.0.1:8080 --upstream 127.0.0.1:3000
  ${NAME} trace tls-h2
  ${NAME} explore traces/
  ${NAME} check pingora.yaml
  source <(${NAME} completion bash)

Each command tells its own flags: ${NAME} serve --help
`;

const SERVE = 'proxy HTTP/1.1 and HTTP/2 to one or more origins';
const TRACE = "run a scenario and print the calls it made, beside Pingora's";

/** A command that has its own command line: what follows its name is handed on as it is. */
function foreign(root: Command, name: string, about: string, run: (args: string[]) => Promise<unknown>): void {
  root
    .command(name)
    .summary(about)
    .usage('[flags]')
    .helpOption(false)
    .allowUnknownOption()
    .allowExcessArguments()
    .action(async () => void (await run(process.argv.slice(3))));
}

function commands(): Command {
  const root = new Command(NAME)
    .description("Pingora 0.1.0 in TypeScript: a proxy whose every call can be traced, and the traces' explorer.")
    .helpCommand(false)
    .addHelpText('after', EXAMPLES)
    .showSuggestionAfterError()
    .configureOutput({
      outputError: (text, write) =>
        write(
          `${text
            .replace(/^error: /, '')
            .trim()
            .replace(/\s*\n\s*/g, ' ')}; see --help\n`,
        ),
    })
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2));
  foreign(root, 'serve', SERVE, async (args) => (await import('../main.ts')).serve(args, `${NAME} serve`));
  foreign(root, 'trace', TRACE, async (args) =>
    (await import('../scenarios/cli.ts')).traceProgram(`${NAME} trace`).parseAsync(args, { from: 'user' }),
  );
  root
    .command('list')
    .description('name the scenarios that trace can run')
    .action(async () => {
      process.stdout.write((await import('../scenarios/cli.ts')).listScenarios());
    });
  root
    .command('explore')
    .description('serve the trace explorer with these traces, until Ctrl-C')
    .argument('<trace...>', "trace files, folders of them, or the address of a server's --trace-ui")
    .option('--listen <address>', 'where', '127.0.0.1:0')
    .action(async (sources: string[], { listen }: { listen: string }) =>
      (await import('./explore.ts')).explore(sources, listen),
    );
  root
    .command('check')
    .description("check Pingora's configuration file, and show what is in effect")
    .argument('<file>', 'a YAML file, as for serve --conf')
    .action(async (file: string) => (await import('./check.ts')).check(file));
  root
    .command('completion')
    .description('print what makes a shell complete the commands and flags')
    .argument('<shell>', Object.keys(shells).join(', '))
    .action(async (shell: string) => {
      if (!Object.hasOwn(shells, shell)) return refuse(`${shell}: use ${Object.keys(shells).join(', ')}`, 2);
      const [{ program }, { traceProgram }] = await Promise.all([
        import('../main/options.ts'),
        import('../scenarios/cli.ts'),
      ]);
      const full = new Map(root.commands.map((command) => [command.name(), command]));
      full.set('serve', program('serve').summary(SERVE)).set('trace', traceProgram('trace').summary(TRACE));
      process.stdout.write(shells[shell as Shell](NAME, [...full]));
    });
  return root;
}

function refuse(message: string, status: number): never {
  complain(message);
  process.exit(status);
}

try {
  const root = commands();
  if (process.argv.length <= 2) root.outputHelp();
  else await root.parseAsync();
} catch (error) {
  refuse(error instanceof Error ? error.message : String(error), 1);
}
