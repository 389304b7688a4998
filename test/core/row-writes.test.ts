import { expect, test } from "vitest";
import { ROW_WRITE_INTERVAL_MS, ROW_WRITES_BURST_MAX } from "../../src/core/limits.ts";
import { RowWrites } from "../../src/core/row-writes.ts";

test("[S4] a few rows are written at once, and then one in an interval", () => {
  const writes = new RowWrites(100);
  const taken = (at: number) => Array.from({ length: 50 }, () => writes.take(at)).filter(Boolean);
  expect(taken(100)).toHaveLength(ROW_WRITES_BURST_MAX);
  expect(taken(100 + ROW_WRITE_INTERVAL_MS - 1)).toHaveLength(0);
  expect(taken(100 + ROW_WRITE_INTERVAL_MS)).toHaveLength(1);
  expect(taken(100 + 3.5 * ROW_WRITE_INTERVAL_MS)).toHaveLength(2);
  expect(taken(100 + 4 * ROW_WRITE_INTERVAL_MS)).toHaveLength(1);
});

test("[S4] rows that were not written are saved up, no more than a few", () => {
  const writes = new RowWrites(0);
  const taken = Array.from({ length: 50 }, () => writes.take(1e6)).filter(Boolean);
  expect(taken).toHaveLength(ROW_WRITES_BURST_MAX);
});
