/**
 * `hearsay search`: the documents of the whole cluster with some words, the best first.
 */
import type { SearchResult } from "../documents/shell/search.ts";
import { defineCommand } from "./command.ts";
import { printable } from "./output.ts";
import { PeerApi } from "./peer-api.ts";

/** Missing shards that are named; the others are counted. */
const NAMED_MAX = 5;

export const search = defineCommand({
  usage: "search <words...>",
  summary: "find documents that are edited in the cluster",
  settings: ["peer", "ca"],
  example: "hearsay search gossip protocol",
  run: async (call) => {
    const { operands, json, output } = call;
    const api = PeerApi.of(call);
    try {
      const query = encodeURIComponent(operands.join(" "));
      const result = (await api.ask("GET", `/v1/search?q=${query}`)) as SearchResult;
      const lines = json ? [JSON.stringify(result)] : linesOf(result);
      output.out(`${lines.join("\n")}\n`);
    } finally {
      api.close();
    }
  },
});

function linesOf({ documents, complete, missing, truncated }: SearchResult): string[] {
  const found = documents.flatMap(({ document, score, snippet }) => [
    `${printable(document)}  (${score.toFixed(3)})`,
    `  ${printable(snippet)}`,
  ]);
  if (documents.length === 0) found.push("No document has these words");
  if (truncated > 0) found.push("", `Searched in part, since they are too long: ${truncated}`);
  if (complete) return found;
  const named = missing.slice(0, NAMED_MAX).map(printable).join(", ");
  const more = missing.length > NAMED_MAX ? ` and ${missing.length - NAMED_MAX} more` : "";
  return [...found, "", `Not searched: ${named}${more}`];
}
