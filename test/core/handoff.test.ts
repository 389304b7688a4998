import { expect, test } from "vitest";
import { HANDOFF, type HandoffEvent, type HandoffState } from "../../src/core/handoff.ts";

const states = Object.keys(HANDOFF) as HandoffState[];
const events = Object.keys(HANDOFF.waiting) as HandoffEvent[];

/** States that can be reached from one by these events. */
function reachable(from: HandoffState, by: readonly HandoffEvent[]): Set<HandoffState> {
  const found = new Set<HandoffState>([from]);
  for (const state of found) {
    for (const event of by) {
      const next = HANDOFF[state][event];
      if (next !== null) found.add(next);
    }
  }
  return found;
}

test("[H4] every state answers every event, or says that it cannot happen", () => {
  for (const state of states)
    expect(Object.keys(HANDOFF[state]).sort()).toEqual([...events].sort());
  expect(reachable("waiting", events)).toEqual(new Set(states));
});

test("[A7] a shard is lost in every state, and then gone for good", () => {
  for (const state of states.filter((each) => each !== "gone")) {
    expect(HANDOFF[state].lost).toBe("gone");
  }
  expect(events.map((event) => HANDOFF.gone[event])).toEqual(events.map(() => null));
});

test("[H4] from every state but serving there is a way out that needs nobody else", () => {
  // What a deadline of this region brings about in each state.
  const alone: Record<HandoffState, HandoffEvent | null> = {
    ...{ waiting: "lost", importing: "lost", settling: "settled", acquiring: "lost" },
    ...{ serving: null, draining: "drained", exporting: "aborted", releasing: "released" },
    gone: null,
  };
  for (const state of states) {
    const event = alone[state];
    if (event !== null) expect(HANDOFF[state][event]).not.toBeNull();
  }
});

test("[H2] a shard is given away only after it has drained", () => {
  const withoutDrain = events.filter((event) => event !== "drained" && event !== "lost");
  const found = reachable("serving", withoutDrain);
  expect(found.has("releasing")).toBe(false);
  expect(found.has("gone")).toBe(false);
});
