import { expect, test } from "vitest";
import { nextPeer, type PeerRow } from "../../src/page/peers.ts";

const rows = (...names: string[]): PeerRow[] =>
  names.map((name) => ({
    name: name.replace("!", ""),
    address: "",
    status: name.endsWith("!") ? "dead" : "alive",
  }));

const next = (peers: PeerRow[], wished: string, tried: string[] = [], used: string[] = []) =>
  nextPeer(peers, wished, new Set(tried), new Set(used))?.name;

test("[Y13] the wished peer is tried first, then those after it that nobody else uses, then any", () => {
  const peers = rows("c", "a", "d", "b");
  expect(next(peers, "b")).toBe("b");
  expect(next(peers, "b", [], ["b"])).toBe("b");
  expect(next(peers, "b", ["b"], ["c"])).toBe("d");
  expect(next(peers, "d", ["d"])).toBe("a");
  expect(next(peers, "b", ["b", "d", "a"], ["c"])).toBe("c");
  expect(next(peers, "b", ["a", "b", "c", "d"])).toBeUndefined();
});

test("[Y13] who is dead is not tried, and a wished peer that is not known gives way to another", () => {
  expect(next(rows("a", "b!", "c"), "b")).toBe("c");
  expect(next(rows("a!", "b!"), "a")).toBeUndefined();
  expect(next(rows("a", "c"), "b")).toBe("c");
  expect(next(rows("a"), "z")).toBe("a");
  expect(next([], "a")).toBeUndefined();
});
