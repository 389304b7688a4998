/**
 * `hearsay watch`: a peer's changes as they happen, one a line, until the peer goes away or the
 * reader does.
 */
import { defineCommand } from "./command.ts";
import { colours, paintStatus, printable } from "./output.ts";
import { PeerApi, type PeerEvent } from "./peer-api.ts";

export const watch = defineCommand({
  usage: "watch",
  summary: "changes as they happen; fails when the peer goes away",
  settings: ["peer", "ca"],
  async run(call) {
    const { settings, json, output } = call;
    const api = PeerApi.of(call);
    const stopped = new AbortController();
    const stop = (): void => stopped.abort();
    process.once("SIGINT", stop);
    process.once("SIGTERM", stop);
    const events = await api.events(stopped.signal);
    output.err(`hearsay: watching ${settings.peer}\n`);
    for await (const event of events) {
      output.out(`${json ? JSON.stringify(event) : sentenceOf(event)}\n`);
    }
  },
});

/** `10:15:00.123  allocation  shard-7 is in peer-2, before in peer-1`. */
function sentenceOf(event: PeerEvent): string {
  const at = new Date(event.atMs).toISOString().slice(11, 23);
  return `${colours.dim(at)}  ${printable(event.type).padEnd(10)}  ${detailOf(event)}`;
}

function detailOf({ type, atMs: _, ...row }: PeerEvent): string {
  const said = (field: string): string => printable(String(row[field]));
  switch (type) {
    case "allocation": {
      const before = row.superseded as { region?: unknown } | null | undefined;
      const where = row.region ? `is in ${said("region")}` : "is released";
      const from = before?.region ? `, before in ${printable(String(before.region))}` : "";
      return `${said("shard")} ${where}${from}`;
    }
    case "member":
      return `${said("name")}: ${paintStatus(said("status"))(said("status"))}. ${said("why")}`;
    case "acquire":
      return `${said("shard")} is served here`;
    case "release":
      return `${said("shard")} is served here no longer`;
    case "tick": {
      const waited = Array.isArray(row.stragglers) ? `, waiting for ${said("stragglers")}` : "";
      return `tick ${said("tick")} is ${said("state")} in phase ${said("phase")}${waited}`;
    }
    case "warning":
      return `${said("code")}: ${said("message")}`;
    default:
      return printable(JSON.stringify(row));
  }
}
