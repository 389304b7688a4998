/**
 * What a command is made of, and how a list of commands becomes a program.
 *
 * A command names the settings that it takes and says what it does with them; flags, `--help`,
 * `--json`, `--config` and `--print-config` follow from that, so no two commands differ in them.
 * Commander only parses: it prints nothing of its own but help, and never ends the process.
 */
import { Command, CommanderError, Option } from "commander";
import {
  type Configuration,
  configure,
  flagOf,
  type SettingName,
  type Settings,
} from "./config.ts";
import { wrongUsage } from "./failure.ts";
import { listOf, type Output, printable } from "./output.ts";

/** What a command is run with. */
export interface Call<Name extends SettingName = SettingName> {
  /** What stands after the command's name, flags left out. */
  readonly operands: readonly string[];
  readonly settings: Pick<Settings, Name>;
  /** What a peer that lets in only clients with a token is to be shown. */
  readonly token: string | undefined;
  /** Flags of this command alone. */
  readonly flags: Readonly<Record<string, boolean>>;
  /** Whether one JSON value on one line is wanted instead of text. */
  readonly json: boolean;
  readonly output: Output;
}

export interface CommandDefinition<Name extends SettingName> {
  /** As commander writes it: `allocate <shard> <region>`. */
  readonly usage: string;
  readonly summary: string;
  readonly settings: readonly Name[];
  /** Flags without a value that no setting stands behind, with their descriptions. */
  readonly flags?: Readonly<Record<string, string>>;
  /** What follows the options in `--help`. */
  readonly example?: string;
  /** Resolves when the command is done; what it throws decides the exit status. */
  readonly run: (call: Call<Name>) => Promise<void>;
}

/** A command whose settings are its own affair. */
export type AnyCommand = CommandDefinition<SettingName>;

/** Hides which settings a command takes, which only `run` needs to know. */
export function defineCommand<Name extends SettingName>(
  definition: CommandDefinition<Name>,
): AnyCommand {
  return definition as unknown as AnyCommand;
}

export interface Program {
  readonly commands: readonly AnyCommand[];
  readonly version: string;
  readonly output: Output;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Parses arguments and runs the command they name. Throws a `Failure` for wrong usage. */
export async function runProgram(program: Program, args: readonly string[]): Promise<void> {
  const { output } = program;
  const root = new Command("hearsay")
    .description(
      "Sharding without a coordinator: peers that agree by gossip who hosts which shard.",
    )
    .version(program.version, "--version", "print the version")
    .helpOption("--help", "print this help")
    .helpCommand(false)
    .exitOverride()
    .configureOutput({ writeOut: output.out, writeErr: () => {}, outputError: () => {} });
  for (const definition of program.commands) addCommand(root, definition, program);
  root.addHelpText("after", `\n${EXIT_STATUS}`);
  root.allowExcessArguments().action(() => {
    const [name] = root.args;
    const what = name === undefined ? "No command" : `There is no command "${printable(name)}"`;
    throw wrongUsage(`${what}: see hearsay --help`);
  });
  try {
    await root.parseAsync([...args], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return; // Help or the version was printed.
    throw wrongUsage(sentence(error.message));
  }
}

/** Of a token: an argument could be read by anyone on the machine. */
const TOKEN_VARIABLE = "HEARSAY_TOKEN";

const EXIT_STATUS = "Exit status: 0 done, 1 failed, 2 wrong usage.";

function addCommand(root: Command, definition: AnyCommand, program: Program): void {
  const command = root.command(definition.usage).description(definition.summary);
  command.helpOption("--help", "print this help").exitOverride();
  command.showHelpAfterError(false);
  for (const name of definition.settings) {
    const { flags, description, repeats } = flagOf(name);
    const option = new Option(flags, description);
    if (repeats) option.argParser((value, earlier) => [...((earlier as string[]) ?? []), value]);
    command.addOption(option);
  }
  for (const [flag, description] of Object.entries(definition.flags ?? {})) {
    command.option(`--${flag}`, description);
  }
  command.option("--config <file>", "a JSON file with settings [HEARSAY_CONFIG]");
  command.option("--print-config", "print the settings and where they come from, and do nothing");
  command.option("--json", "print JSON, one value on one line");
  if ((definition.settings as readonly string[]).includes("peer")) {
    command.addHelpText("after", `\nA peer that asks for a token finds it in ${TOKEN_VARIABLE}.`);
  }
  if (definition.example) command.addHelpText("after", `\nExample: ${definition.example}`);
  command.action(() => run(command, definition, program));
}

async function run(command: Command, definition: AnyCommand, program: Program): Promise<void> {
  const { output, environment } = program;
  const options = command.opts<Record<string, unknown>>();
  const file = options.config as string | undefined;
  const configuration = configure(definition.settings, { flags: options, environment, file });
  const json = options.json === true;
  if (options.printConfig === true) {
    printConfiguration(configuration, json, output);
    return;
  }
  const flags = Object.fromEntries(
    Object.keys(definition.flags ?? {}).map((flag) => [flag, options[camelCase(flag)] === true]),
  );
  const settings = configuration.values;
  const token = environment[TOKEN_VARIABLE] || undefined;
  await definition.run({ operands: command.args, settings, token, flags, json, output });
}

function printConfiguration(
  { values, origins }: Configuration<SettingName>,
  json: boolean,
  output: Output,
): void {
  const entries = Object.entries(values).map(([name, value]) => [name, value ?? null] as const);
  if (json) {
    output.out(`${JSON.stringify(Object.fromEntries(entries))}\n`);
    return;
  }
  const shown = entries.map(([name, value]) => {
    const text = Array.isArray(value) ? value.join(",") : String(value ?? "");
    return [name, `${text === "" ? "-" : text}  (${origins[name as SettingName]})`] as const;
  });
  output.out(`${listOf(shown).join("\n")}\n`);
}

const camelCase = (flag: string): string =>
  flag.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());

/** Commander's `error: unknown option '--x'` as one of our sentences. */
function sentence(message: string): string {
  const text = message.replace(/^error: /, "").replace(/\.$/, "");
  return text.charAt(0).toUpperCase() + text.slice(1);
}
