/** What makes a shell complete the commands and their flags, made from the command lines themselves. */
import type { Command } from 'commander';

type Commands = readonly (readonly [name: string, command: Command])[];

/** A flag as it is typed, its choices if it has any, whether it takes a value, and what it is for. */
interface Flag {
  readonly flag: string;
  readonly choices: readonly string[];
  readonly value: boolean;
  readonly about: string;
}

function flagsOf(command: Command): Flag[] {
  const flags = command.options.map(({ long, argChoices = [], required, optional, description }) => ({
    flag: long ?? '',
    choices: argChoices,
    value: required || optional,
    about: description,
  }));
  return [...flags, { flag: '--help', choices: [], value: false, about: 'show the flags' }].filter(
    ({ flag }) => flag !== '',
  );
}

const aboutOf = (command: Command) => command.summary() || command.description();
const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
const words = (all: readonly string[]) => all.join(' ');

function bash(program: string, commands: Commands): string {
  const fn = `_${program.replaceAll('-', '_')}`;
  const cases = commands.map(([name, command]) => {
    const flags = flagsOf(command);
    const choices = flags
      .filter((flag) => flag.choices.length > 0)
      .map(
        ({ flag, choices: all }) =>
          `      ${flag}) COMPREPLY=($(compgen -W ${quoted(words(all))} -- "$cur")); return;;`,
      );
    return [
      `    ${name})`,
      ...(choices.length > 0 ? ['      case "$prev" in', ...choices, '      esac'] : []),
      `      COMPREPLY=($(compgen -f -W ${quoted(words(flags.map(({ flag }) => flag)))} -- "$cur"));;`,
    ].join('\n');
  });
  return `${fn}() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}"
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W ${quoted(words([...commands.map(([name]) => name), '--help']))} -- "$cur"))
    return
  fi
  case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
  esac
}
complete -o filenames -F ${fn} ${program}
`;
}

function zsh(program: string, commands: Commands): string {
  const fn = `_${program.replaceAll('-', '_')}`;
  const described = commands.map(([name, command]) => quoted(`${name}:${aboutOf(command).replaceAll(':', '\\:')}`));
  const text = (about: string) => about.replaceAll('[', '(').replaceAll(']', ')');
  const cases = commands.map(([name, command]) => {
    const specs = flagsOf(command).map(({ flag, choices, value, about }) => {
      const of = choices.length > 0 ? `:value:(${words(choices)})` : value ? ':value:_files' : '';
      return quoted(`*${flag}[${text(about)}]${of}`);
    });
    return `    ${name}) _arguments ${words(specs)} '*:file:_files';;`;
  });
  return `#compdef ${program}
${fn}() {
  if (( CURRENT == 2 )); then
    local -a commands=(${words(described)})
    _describe command commands
    return
  fi
  local command="$words[2]"
  shift words
  (( CURRENT-- ))
  case "$command" in
${cases.join('\n')}
  esac
}
compdef ${fn} ${program}
`;
}

function fish(program: string, commands: Commands): string {
  const lines = commands.flatMap(([name, command]) => [
    `complete -c ${program} -f -n __fish_use_subcommand -a ${name} -d ${quoted(aboutOf(command))}`,
    ...flagsOf(command).map(({ flag, choices, value, about }) =>
      words([
        `complete -c ${program} -n '__fish_seen_subcommand_from ${name}' -l ${flag.replace(/^--/, '')}`,
        ...(value ? ['-r'] : []),
        ...(choices.length > 0 ? ['-f', '-a', quoted(words(choices))] : []),
        '-d',
        quoted(about),
      ]),
    ),
  ]);
  return `${lines.join('\n')}\n`;
}

/** The completion of each shell. */
export const shells = { bash, zsh, fish } as const;

/** A shell that has completion. */
export type Shell = keyof typeof shells;
