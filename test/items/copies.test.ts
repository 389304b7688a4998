import { expect, test } from "vitest";
import { copiesOf, othersIn } from "../../src/items/copies.ts";
import { Cluster } from "../core/cluster.ts";

test("[Y3] copies are at others that are there, at most so many, and everybody says the same", () => {
  const cluster = new Cluster("a b c d").settled();
  cluster.peer("d").kill();
  cluster.run(3000);
  const { view } = cluster.machine("a");
  expect([...othersIn(view, "a")].sort()).toEqual(["b", "c"]);
  for (let index = 0; index < 50; index += 1) {
    const item = `document-${index}`;
    const owner = view.allocationFor(item)?.region ?? "";
    const copies = copiesOf(view, owner, item, 2);
    expect(new Set(copies).size).toBe(copies.length);
    expect(copies).not.toContain(owner);
    expect(copies).not.toContain("d");
    expect(copiesOf(cluster.machine("b").view, owner, item, 2)).toEqual(copies);
    expect(copiesOf(view, owner, item, 1)).toEqual(copies.slice(0, 1));
  }
  expect(othersIn(undefined, "a").size).toBe(0);
  expect(copiesOf(undefined, "a", "x", 2)).toEqual([]);
});
