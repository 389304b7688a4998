import { expect, test } from "vitest";
import { Awareness, applyAwarenessUpdate, encodeAwarenessUpdate } from "y-protocols/awareness";
import * as Y from "yjs";
import { Presence } from "../../src/page/presence.ts";

test("[Y13] stock clients see who is here, and are seen until they are gone", () => {
  const [ours, theirs] = [new Y.Doc(), new Y.Doc()];
  const stock = new Awareness(theirs);
  const presence = new Presence(ours.clientID);
  applyAwarenessUpdate(stock, presence.say("Ada", { item: null }), "here");
  expect(stock.getStates().get(ours.clientID)).toMatchObject({ user: { name: "Ada" } });
  stock.setLocalState({ user: { name: "Stock" }, cursor: { head: 7 } });
  presence.apply(encodeAwarenessUpdate(stock, [theirs.clientID, ours.clientID]));
  expect(presence.guests).toEqual([{ client: theirs.clientID, name: "Stock", head: 7 }]);
  stock.setLocalState(null);
  presence.apply(encodeAwarenessUpdate(stock, [theirs.clientID]));
  expect(presence.guests).toEqual([]);
  stock.destroy();
});

test("[Y13] a state that is none of a person is somebody's, and what is older counts for nothing", () => {
  const doc = new Y.Doc();
  const stock = new Awareness(doc);
  const presence = new Presence(1);
  const told = (state: Record<string, unknown>): Uint8Array => {
    stock.setLocalState(state);
    return encodeAwarenessUpdate(stock, [doc.clientID]);
  };
  const first = told({ user: { name: "x".repeat(99) } });
  presence.apply(told({ user: 5 }));
  presence.apply(first);
  expect(presence.guests).toEqual([{ client: doc.clientID, name: "somebody", head: undefined }]);
  presence.clear();
  presence.apply(first);
  expect(presence.guests[0]?.name).toBe("x".repeat(32));
  stock.destroy();
});
