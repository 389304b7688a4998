/**
 * `hearsay df`: in how many documents of the whole cluster terms occur, as any peer knows.
 */
import { idfOf } from "../core/document-frequency.ts";
import { defineCommand } from "./command.ts";
import { type Column, printable, tableOf } from "./output.ts";
import { PeerApi } from "./peer-api.ts";

interface Answer {
  readonly documents: number;
  readonly frequencies: Readonly<Record<string, number>>;
  readonly complete: boolean;
  readonly missing: readonly string[];
  readonly ageMs: number;
}

interface Row {
  readonly term: string;
  readonly count: number;
  readonly idf: number;
}

/** Missing shards that are named; the others are counted. */
const NAMED_MAX = 5;

const COLUMNS: readonly Column<Row>[] = [
  { title: "TERM", cell: ({ term }) => term },
  { title: "DOCUMENTS", cell: ({ count }) => count },
  { title: "IDF", cell: ({ idf }) => idf.toFixed(3) },
];

export const df = defineCommand({
  usage: "df <term...>",
  summary: "in how many documents terms occur; `index` writes them in lower case",
  settings: ["peer", "ca"],
  example: "hearsay df shard gossip",
  run: async (call) => {
    const { operands, json, output } = call;
    const api = PeerApi.of(call);
    try {
      const query = operands.map((term) => `term=${encodeURIComponent(term)}`).join("&");
      const answer = (await api.ask("GET", `/v1/df?${query}`)) as Answer;
      const lines = json ? [JSON.stringify(answer)] : linesOf(answer);
      output.out(`${lines.join("\n")}\n`);
    } finally {
      api.close();
    }
  },
});

function linesOf({ documents, frequencies, complete, missing, ageMs }: Answer): string[] {
  const rows = Object.entries(frequencies).map(([term, count]) => {
    return { term, count, idf: idfOf(documents, count) };
  });
  const named = missing.slice(0, NAMED_MAX).map(printable).join(", ");
  const more = missing.length > NAMED_MAX ? ` and ${missing.length - NAMED_MAX} more` : "";
  const coverage = complete ? "complete" : `incomplete: ${named}${more} missing`;
  const age = `the oldest part is ${Math.round(ageMs / 1000)} s old`;
  return [...tableOf(COLUMNS, rows), "", `Of ${documents} documents; ${coverage}; ${age}`];
}
