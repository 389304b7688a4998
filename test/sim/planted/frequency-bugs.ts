/**
 * Planted bugs of document frequencies.
 */
import type { PlantedBug } from "./bug.ts";

const INDEX = "src/core/document-frequency.ts";
const PUBLISHER = "src/core/frequency-publisher.ts";

/** Few shards, published all the time. */
const PUBLISHING: PlantedBug["request"] = {
  ...{ peers: 3, shards: 2, operationEveryMs: 20, durationMs: 5000, diskMs: 0 },
  ...{ workload: ["frequencies"], faults: "none", isCoreHealed: false },
};

export const FREQUENCY_BUGS: readonly PlantedBug[] = [
  {
    rule: "I13",
    does: "adds a chunk to the sums twice when it was overwritten",
    edits: [{ file: INDEX, line: "this.#add(content, -1);", bug: "" }],
    by: ["I13"],
    request: PUBLISHING,
    seeds: 10,
  },
  {
    rule: "D1",
    does: "takes a chunk of the same length for the same chunk",
    edits: [
      {
        file: PUBLISHER,
        line: "if (texts.get(chunk) !== text) writes.set(chunkKey(key, chunk), text); // [D3]",
        bug: "if (texts.get(chunk)?.length !== text.length) writes.set(chunkKey(key, chunk), text);",
      },
    ],
    by: ["D1", "D4"],
    request: PUBLISHING,
    seeds: 10,
  },
];
