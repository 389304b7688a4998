import { expect, test } from "vitest";
import type { MapEntries, Value } from "../../src/core/message.ts";
import { Registry } from "../../src/core/registry.ts";
import { Replica } from "../../src/core/replica.ts";
import {
  encodeDefinition,
  encodeEnd,
  encodeProgress,
  PROGRESS,
  TICKS,
  TickView,
} from "../../src/core/tick-view.ts";

const IDENTITY = { time: 10, writer: "a" };
const SHARDS = ["shard-0", "shard-1", "shard-2"];

/** Ticks as they follow from rows that come in this order. */
function viewOf(...rows: readonly MapEntries[]): TickView {
  const replica = new Replica("cluster");
  const view = new TickView(replica, new Registry(SHARDS.length));
  for (const row of rows) view.apply(replica.merge([row]), []);
  return view;
}

function row(map: string, key: string, value: Value, time: number): MapEntries {
  return { map, entries: [{ key, value, time, writer: "a" }] };
}

const definition = row(
  TICKS,
  "1",
  encodeDefinition({ tick: 1, phases: ["act"], participants: SHARDS, phaseTimeoutMs: 1000 }),
  IDENTITY.time,
);
const aborted = row(TICKS, "1/aborted", encodeEnd(IDENTITY, ["shard-2"]), 40);
const completed = row(PROGRESS, "shard-0", encodeProgress(IDENTITY, 1), 20);
/** Written by somebody who was cut off and knows an earlier tick. */
const outdated = row(PROGRESS, "shard-0", encodeProgress({ time: 5, writer: "b" }, 1), 30);

test("[B5] an aborted tick waited for whom its end names, whatever became of the rows of shards", () => {
  const seen = viewOf(definition, completed, outdated, aborted).status();
  const unseen = viewOf(definition, outdated, aborted).status();
  expect(unseen).toEqual(seen);
  expect(seen).toMatchObject({ state: "aborted", pending: ["shard-2"] });
  expect(seen.completed).toEqual(["shard-0", "shard-1"]);
});

test("[B2] what was once seen completed of a tick that runs stays so, and is to be written anew", () => {
  const view = viewOf(definition, completed, outdated);
  expect(view.status()).toMatchObject({ state: "running", completed: ["shard-0"] });
  expect(view.takeLowered()).toEqual(["shard-0"]);
});
