import { expect, test } from "vitest";
import { AsksChecker } from "../../sim/checkers/asks.ts";
import { FencesChecker } from "../../sim/checkers/fences.ts";
import type { SimulatedPeer } from "../../sim/peer.ts";
import type { AskOutcome } from "../../src/core/effect.ts";
import type { HostTask } from "../../src/core/host-task.ts";
import { TIMINGS } from "../../src/core/timings.ts";
import { peerOf, rulesOf } from "./shown-peers.ts";

const done: AskOutcome = { ok: true, body: new Uint8Array() };
const refused = (code: "NOT_READY" | "TIMEOUT" | "FORBIDDEN"): AskOutcome => ({
  ...{ ok: false, code, message: "" },
});

/** A peer whose table gives it `s`, and that may serve. */
function region(name: string, owner = name, writer = name): SimulatedPeer {
  const peer = peerOf(name, { regions: { s: owner }, status: { members: { alive: 1 } } });
  const machine = peer.machine as unknown as { isServing: boolean; view: Record<string, unknown> };
  machine.isServing = true;
  machine.view.course = () => ({});
  machine.view.allocation = () => ({ shard: "s", region: owner, token: 5, writer });
  return Object.assign(peer, { state: "up", slowMs: 0 });
}

function handle(entity = "e", writer = "a", token = 5): Extract<HostTask, { type: "handle" }> {
  const common = { shard: "s", token, writer, entity, from: "b", body: new Uint8Array() };
  return { type: "handle", work: 1, ...common };
}

/** Of a peer with a disk what is carried out is not compared with its table. */
const LATE = { timings: TIMINGS.lan, diskMs: 1 };

const found = (show: (checker: AsksChecker, at: (ms: number) => void) => void): string[] => {
  let now = 0;
  return rulesOf(
    (report) => new AsksChecker(report, () => now),
    (checker) =>
      show(checker, (ms) => {
        now = ms;
      }),
  );
};

test("[I11] a message that is handled twice is found, and one that is not and was answered", () => {
  const a = region("a");
  const show = (handled: number, outcome?: AskOutcome) =>
    found((checker) => {
      const ask = checker.ask(a, "s", "e", 100);
      for (let time = 0; time < handled; time += 1) checker.handled(a, handle(), ask);
      if (outcome !== undefined) checker.asked(a, ask, outcome);
    });
  expect(show(1, done)).toEqual([]);
  expect(show(2, done)).toEqual(["I11"]);
  expect(show(0, done)).toEqual(["I11"]);
  expect(show(1, refused("NOT_READY"))).toEqual(["I11"]);
  expect(show(1, refused("TIMEOUT"))).toEqual([]);
  expect(show(0, refused("NOT_READY"))).toEqual([]);
});

test("[I11] a message that is handled after its sender was told that it is not is found", () => {
  const a = region("a");
  const rules = found((checker) => {
    const ask = checker.ask(a, "s", "e", 100);
    checker.asked(a, ask, refused("NOT_READY"));
    checker.handled(a, handle(), ask);
  });
  expect(rules).toEqual(["I11"]);
});

test("[H3] messages out of order are found, senders that hear nothing, and codes that mean nothing", () => {
  const a = region("a");
  const order = (...handled: number[]) => ordered(handled, [5, 5]);
  const ordered = (handled: readonly number[], tokens: readonly number[]) =>
    found((checker) => {
      for (const ask of [0, 1]) {
        checker.ask(a, "s", "e", 100);
        const body = new Uint8Array();
        const event = {
          type: "asked",
          ask,
          shard: "s",
          entity: "e",
          timeoutMs: 100,
          body,
        } as const;
        checker.stepped(a, event);
      }
      for (const [index, ask] of handled.entries()) {
        const task = handle("e", "b", tokens[index]);
        checker.handled(Object.assign(region("a", "a", "b"), { options: LATE }), task, ask);
      }
    });
  // Whoever still serves under an earlier token has another past.
  expect(ordered([1, 0], [6, 5])).toEqual([]);
  expect(ordered([1, 0], [5, 6])).toEqual(["H3"]);
  expect(order(0, 1)).toEqual([]);
  expect(order(1, 0)).toEqual(["H3"]);
  const silence = (ms: number) =>
    found((checker, at) => {
      checker.ask(a, "s", "e", 100);
      at(ms);
      checker.settled();
    });
  expect(silence(3000)).toEqual([]);
  expect(silence(4000)).toEqual(["H3"]);
  const code = found((checker) =>
    checker.asked(a, checker.ask(a, "s", "e", 1), refused("FORBIDDEN")),
  );
  expect(code).toEqual(["H3"]);
});

test("[A7, I9] serving what is another's is found, and serving under a token that is not the table's", () => {
  const show = (peer: SimulatedPeer, task = handle()) =>
    found((checker) => checker.handled(peer, task, checker.ask(peer, "s", "e", 100)));
  expect(show(region("a"))).toEqual([]);
  expect(show(region("a", "b"))).toEqual(["A7"]);
  expect(show(region("a", "a", "z"))).toEqual(["I9"]);
});

test("[H2] state that arrives as something else than what was given is found", () => {
  const show = (count: number) =>
    found((checker) => {
      checker.released(region("a"), "s", new Map([["e", 2]]));
      const entities: string[] = [];
      const common = { shard: "s", token: 5, writer: "b", from: "a", entities };
      checker.acquired(region("b"), { type: "acquire", ...common }, new Map([["e", count]]));
    });
  expect(show(2)).toEqual([]);
  expect(show(1)).toEqual(["H2"]);
  // A host that hung for long ends with what it was told before the shard came and went again.
  const hung = found((checker, at) => {
    const common = { shard: "s", token: 5, writer: "b", from: "a", entities: [] };
    const task = { type: "acquire", ...common } as const;
    checker.tasked(region("b"), task);
    at(30_000);
    checker.released(region("a"), "s", new Map([["e", 2]]));
    checker.acquired(region("b"), task, new Map([["e", 1]]));
  });
  expect(hung).toEqual([]);
  // What it gave in an earlier life of the shard is not what it gives now.
  const again = found((checker) => {
    checker.released(region("a"), "s", new Map([["e", 2]]));
    const common = { shard: "s", token: 5, entities: [] };
    checker.acquired(
      region("a"),
      { ...common, type: "acquire", writer: "a", from: undefined },
      undefined,
    );
    checker.acquired(
      region("b"),
      { ...common, type: "acquire", writer: "b", from: "a" },
      new Map(),
    );
  });
  expect(again).toEqual([]);
});

test("[H7] a host that serves on under a lower token than another one was told is found", () => {
  const show = (isLast: boolean, isWiped = false) =>
    rulesOf(
      (report) => new FencesChecker(report),
      (checker) => {
        const peers = [region("a"), region("b", "a")];
        const take = (peer: SimulatedPeer | undefined, token: number) => {
          const task = {
            type: "acquire",
            shard: "s",
            token,
            writer: "w",
            from: undefined,
          } as const;
          if (peer !== undefined) checker.tasked(peer, { ...task, entities: [] });
        };
        for (const peer of peers) checker.booted(peer);
        take(peers[0], 5);
        take(peers[1], 6);
        if (isLast) take(peers[0], 7);
        if (isWiped) checker.wiped();
        checker.settled(peers);
      },
    );
  expect(show(true)).toEqual([]);
  expect(show(false)).toEqual(["H7"]);
  expect(show(false, true)).toEqual([]);
});
