import { expect, test } from "vitest";
import * as Y from "yjs";
import { DocumentsChecker } from "../../sim/checkers/documents.ts";
import type { SimulatedDocuments } from "../../sim/documents.ts";

/** A peer with a document, its copy and what its client sees, each of which has these keys. */
function peerWith(name: string, own: string[], seen = own): SimulatedDocuments {
  const docOf = (keys: readonly string[]): Y.Doc => {
    const doc = new Y.Doc();
    doc.clientID = 7;
    for (const key of keys) doc.getMap("operations").set(key, true);
    return doc;
  };
  const view = { shardFor: () => "s", regionFor: () => "a" };
  const shown = {
    peer: { name, machine: { view } },
    items: { isReady: () => true, isWaiting: () => false },
    store: { items: () => new Map([["d", { version: { count: 1 } }]]) },
    replicasOf: () => ["b"],
    contentOf: () => docOf(own),
    documents: { rooms: new Map([["d", { isReady: true }]]) },
    editors: new Map([["d", { doc: docOf(seen), isOut: false }]]),
  };
  return shown as unknown as SimulatedDocuments;
}

function judge(peers: readonly SimulatedDocuments[], ...acknowledged: string[]): string[] {
  const checker = new DocumentsChecker();
  for (const operation of acknowledged) checker.acknowledged("d", operation);
  const details: string[] = [];
  checker.judge(peers, (rule, detail) => details.push(`${rule}: ${detail}`));
  return details;
}

test("[I14] an acknowledged edit that is missing is found, and so is a copy or a client that differs", () => {
  const a = peerWith("a", ["x", "y"]);
  const b = peerWith("b", ["x", "y"]);
  expect(judge([a, b], "x", "y")).toEqual([]);
  expect(judge([a, b], "x", "z")).toEqual(["I14: d at a lacks 1 acknowledged edits, such as z"]);
  expect(judge([a, peerWith("b", ["x"], ["x", "y"])], "x")).toEqual([
    "I14: The copy of d at b is not that of a",
  ]);
  expect(judge([a, peerWith("b", ["x", "y"], ["x"])], "x")).toEqual([
    "I14: A client of b sees another d",
  ]);
});

test("[I14] what was acknowledged before a disk was lost may be lost with it", () => {
  const checker = new DocumentsChecker();
  checker.acknowledged("d", "z");
  checker.wiped();
  const found: string[] = [];
  const peers = [peerWith("a", ["x"]), peerWith("b", ["x"])];
  checker.judge(peers, (rule) => found.push(rule));
  expect(found).toEqual([]);
});
