import { expect, test } from "vitest";
import { compareTokens } from "../../src/core/token.ts";

test("[R5] fencing tokens are ordered by token, then by the writer's code units", () => {
  const tokens = [
    { token: 1, writer: "b" },
    { token: 2, writer: "B" },
    { token: 2, writer: "a" },
    { token: 2, writer: "ä" },
    { token: 3, writer: "" },
  ];
  for (const [i, a] of tokens.entries()) {
    for (const [j, b] of tokens.entries()) {
      expect(Math.sign(compareTokens(a, b))).toBe(Math.sign(i - j));
    }
  }
});

test("[R5] a store that refuses lower tokens refuses the region that was superseded", () => {
  let highest = { token: 0, writer: "" };
  const write = (allocation: { token: number; writer: string }): boolean => {
    if (compareTokens(allocation, highest) < 0) return false;
    highest = allocation;
    return true;
  };
  const before = { shard: "shard-0", region: "a", token: 7, writer: "w1" };
  const after = { shard: "shard-0", region: "b", token: 7, writer: "w2" };
  expect([before, before, after, before].map(write)).toEqual([true, true, true, false]);
});
