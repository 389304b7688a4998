/**
 * The log of `hearsay start`, on stderr.
 *
 * pino does the levels and the serialising. For people its lines are rewritten as short text, since one
 * who starts a peer by hand should not have to read JSON; machines ask for it with `--log-format json`.
 */
import { type Logger, pino } from "pino";
import { colours, printable } from "./output.ts";

const LEVELS: Readonly<Record<number, string>> = {
  20: "debug",
  30: "info",
  40: "warn",
  50: "error",
  60: "fatal",
};

/** What every line holds, and what text shows in its own way or leaves out. */
const KNOWN_FIELDS: ReadonlySet<string> = new Set(["level", "time", "msg", "code", "name"]);

export function createLog(
  options: { readonly level: string; readonly format: "text" | "json" },
  write: (text: string) => void,
): Logger {
  const lineOf = options.format === "json" ? (line: string) => line : textOf;
  return pino({ level: options.level, base: null }, { write: (line) => write(lineOf(line)) });
}

/** `10:15:00.123 warn  UNREACHABLE: Founding alone` and what else the line holds. */
function textOf(line: string): string {
  const fields = JSON.parse(line) as Record<string, unknown>;
  const at = new Date(Number(fields.time)).toISOString().slice(11, 23);
  const level = LEVELS[Number(fields.level)] ?? "trace";
  const code = fields.code === undefined ? "" : `${fields.code}: `;
  const rest = Object.entries(fields)
    .filter(([name]) => !KNOWN_FIELDS.has(name))
    .map(([name, value]) => ` ${name}=${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join("");
  const text = printable(`${code}${fields.msg ?? ""}`);
  return `${colours.dim(at)} ${level.padEnd(5)} ${text}${colours.dim(printable(rest))}\n`;
}
