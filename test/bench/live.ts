/**
 * Live queries: what the engine costs, and how long a change takes through three processes.
 */
import { measureEngine } from "./live-engine.ts";
import type { Bench } from "./report.ts";

export const bench: Bench = {
  summary: "live queries: predicates, windows, fan-out",
  run: async (progress) => {
    progress("measuring predicates, windows and one change against many subscriptions");
    return measureEngine();
  },
};
