import { expect, test } from "vitest";
import type { Effect } from "../../src/core/effect.ts";
import {
  ADDRESSES_REMEMBERED_MAX,
  DIALS_BURST_MAX,
  DIALS_PER_SECOND_MAX,
  MEMBERS_MAX,
} from "../../src/core/limits.ts";
import { MEMBERS } from "../../src/core/membership.ts";
import type { Entry } from "../../src/core/message.ts";
import { Overlay } from "../../src/core/overlay.ts";
import { TIMINGS } from "../../src/core/timings.ts";
import { effectsOf, HandDriven, life, rowEntry, sentTo } from "./machines.ts";

const rows = (from: number, count: number): Entry[] =>
  Array.from({ length: count }, (_, at) => rowEntry(`m${from + at}`, 1));

/** A machine that knows `count` other members, m0, m1, ..., and is linked with nobody. */
function among(count: number, meshMax: number): HandDriven {
  const driven = new HandDriven("self", { meshMax });
  driven.start();
  driven.open(1, "teller");
  for (let at = 0; at < count; at += 500) {
    driven.delta(1, MEMBERS, ...rows(at, Math.min(500, count - at)));
  }
  driven.step({ type: "link-closed", link: 1, clean: true });
  return driven;
}

/** A name that is, or is not, a neighbour of `self` among m0, m1, ... */
function memberOf(count: number, meshMax: number, isNeighbour: boolean): string {
  const overlay = new Overlay("self", meshMax);
  const names = Array.from({ length: count }, (_, at) => `m${at}`);
  for (const name of names) overlay.set(name, true);
  return names.find((name) => overlay.neighbours().has(name) === isNeighbour) as string;
}

const closes = (effects: readonly Effect[]) =>
  effectsOf(effects, "close").map(({ link, code }) => `${link} ${code}`);

/** Lets time pass while the other ends of `links` are heard; returns all effects. */
function passHeard(driven: HandDriven, ms: number, ...links: readonly number[]): Effect[] {
  const effects: Effect[] = [];
  for (const until = driven.now + ms; driven.now < until; ) {
    effects.push(...driven.pass(driven.now + 250));
    for (const link of links) effects.push(...driven.receive(link));
  }
  return effects;
}

test("[G7] a link that the overlay does not want is said to be unwanted, one that it wants is not", () => {
  const driven = among(30, 4);
  const stranger = driven.open(5, memberOf(30, 4, false));
  expect(sentTo(stranger, 5)).toContainEqual({ type: "keep", wanted: false });
  const neighbour = driven.open(6, memberOf(30, 4, true));
  expect(sentTo(neighbour, 6).filter(({ type }) => type === "keep")).toEqual([]);
});

test("[G7] in a full mesh nothing is said of it", () => {
  const driven = among(30, 32);
  const effects = driven.open(5, "m3");
  expect(sentTo(effects, 5).filter(({ type }) => type === "keep")).toEqual([]);
});

test("[G7] a link stays while the other end wants it, and ten seconds longer", () => {
  const driven = among(30, 4);
  // Who lacks a link that it wants gives none up: so all neighbours are there.
  const overlay = new Overlay("self", 4);
  for (let at = 0; at < 30; at += 1) overlay.set(`m${at}`, true);
  const names = [...overlay.neighbours()];
  const links = names.map((_, at) => at + 10);
  for (const [at, name] of names.entries()) driven.open(at + 10, name);
  driven.open(5, memberOf(30, 4, false));
  expect(closes(passHeard(driven, 15_000, 5, ...links))).toEqual([]);
  driven.receive(5, { type: "keep", wanted: false });
  expect(closes(passHeard(driven, 9500, 5, ...links))).toEqual([]);
  expect(closes(passHeard(driven, 1000, 5, ...links))).toEqual(["5 UNUSED"]);
});

test("[G7] ten seconds begin anew when somebody wanted the link in between", () => {
  const driven = among(30, 4);
  const overlay = new Overlay("self", 4);
  for (let at = 0; at < 30; at += 1) overlay.set(`m${at}`, true);
  const names = [...overlay.neighbours()];
  const links = names.map((_, at) => at + 10);
  for (const [at, name] of names.entries()) driven.open(at + 10, name);
  driven.open(5, memberOf(30, 4, false));
  driven.receive(5, { type: "keep", wanted: false });
  passHeard(driven, 8000, 5, ...links);
  driven.receive(5, { type: "keep", wanted: true });
  passHeard(driven, 1000, 5, ...links);
  driven.receive(5, { type: "keep", wanted: false });
  expect(closes(passHeard(driven, 9500, 5, ...links))).toEqual([]);
});

test("[G7] who lacks a link that it wants gives no other up", () => {
  const driven = among(30, 4);
  driven.open(5, memberOf(30, 4, false));
  driven.receive(5, { type: "keep", wanted: false });
  expect(closes(passHeard(driven, 30_000, 5))).toEqual([]);
});

test("[F2, F9] beyond a full mesh the time in which a peer was stopped does not cut it off", () => {
  const driven = among(30, 4);
  driven.pass(driven.now + 500);
  driven.step({ type: "woken" }, driven.now + 60_000);
  expect(driven.machine.isReady).toBe(true);
  driven.pass(driven.now + 10_000);
  expect(driven.machine.isReady).toBe(false);
});

test("[G8] of a thousand members only neighbours are dialled", () => {
  const driven = new HandDriven("self");
  driven.start();
  driven.open(1, "teller");
  const effects = driven.delta(1, MEMBERS, ...rows(0, 1000));
  const dialled = [...effects, ...driven.pass(driven.now + 200)];
  expect(effectsOf(dialled, "dial").length).toBeLessThanOrEqual(22);
});

test("[G8] fifteen hundred members that do not exist keep nobody busy with dials", () => {
  const driven = new HandDriven("self");
  driven.start();
  driven.open(1, "teller");
  let dials = 0;
  const refuse = (effects: readonly Effect[]): void => {
    for (const { dial } of effectsOf(effects, "dial")) {
      dials += 1;
      refuse(driven.step({ type: "dial-failed", dial, failure: "refused" }));
    }
  };
  for (let at = 0; at < 1500; at += 100) refuse(driven.delta(1, MEMBERS, ...rows(at, 100)));
  const seconds = 20;
  for (const until = driven.now + seconds * 1000; driven.now < until; ) {
    refuse(driven.step({ type: "woken" }, Math.min(until, driven.machine.deadline())));
    if (driven.now % 500 < 1) driven.receive(1);
  }
  // Each dial that is refused is looked into by three more; one a second is for those long dead.
  expect(dials).toBeLessThan(4 * (DIALS_BURST_MAX + seconds * DIALS_PER_SECOND_MAX) + seconds);
  expect(driven.machine.isReady).toBe(true);
});

test("[G10] more members than a replica may hold close their link, which is not opened again soon", () => {
  const driven = new HandDriven("self");
  driven.start();
  driven.open(1, "teller");
  let effects: Effect[] = [];
  for (let at = 0; at <= MEMBERS_MAX; at += 1024) {
    effects = driven.delta(1, MEMBERS, ...rows(at, 1024));
    if (closes(effects).length > 0) break;
  }
  expect(closes(effects)).toEqual(["1 BUFFER_FULL"]);
  expect(effectsOf(effects, "notify").map(({ change }) => change)).toContainEqual(
    expect.objectContaining({ type: "warning", code: "BUFFER_FULL" }),
  );
  // What was on its way already is not looked at again, frame by frame.
  expect(driven.delta(1, MEMBERS, ...rows(2 * MEMBERS_MAX, 1024))).toEqual([]);
  driven.step({ type: "link-closed", link: 1, clean: true, code: "BUFFER_FULL" });
  expect(closes(driven.open(2, "teller"))).toEqual(["2 BUFFER_FULL"]);
  driven.step({ type: "link-closed", link: 2, clean: true, code: "BUFFER_FULL" });
  driven.step({ type: "woken" }, driven.now + TIMINGS.lan.redialIdleMs + 1000);
  expect(closes(driven.open(3, "teller"))).toEqual([]);
});

test("[G10] a newcomer that finds no room among the members stops and says so", () => {
  const driven = new HandDriven("self", { join: ["teller:1"] });
  driven.start();
  const founding = { time: 1, writer: life("teller") };
  driven.open(1, "teller", { founding });
  const settings = [{ key: "founding", value: ["teller"], ...founding }];
  driven.delta(1, "settings", ...settings);
  for (let at = 0; at < MEMBERS_MAX; at += 1024) driven.delta(1, MEMBERS, ...rows(at, 1024));
  const effects = driven.receive(1, { type: "done", exchange: 2 });
  expect(effectsOf(effects, "stop")).toMatchObject([{ code: "BUFFER_FULL" }]);
});

test("[U3] what is said about an address is said once, and of very many addresses the oldest is forgotten", () => {
  const a = new HandDriven("a", { join: ["first:1"], timings: { ...TIMINGS.lan } });
  const warnings: string[] = [];
  const settle = (effects: Effect[]): void => {
    for (const effect of effects) {
      if (effect.type === "notify" && effect.change.type === "warning") {
        warnings.push(effect.change.message);
      }
      if (effect.type !== "dial") continue;
      const rejected = { failure: "rejected", code: "AUTH_FAILED" } as const;
      settle(a.step({ type: "dial-failed", dial: effect.dial, ...rejected }));
    }
  };
  const find = (...addresses: string[]): void => {
    settle(a.step({ type: "addresses-found", addresses }));
    for (let times = 0; times < 4; times += 1) settle(a.pass(a.now + 1000));
  };
  const saidOf = (address: string): number =>
    warnings.filter((warning) => warning.includes(`with ${address} `)).length;
  settle(a.start());
  find("first:1");
  find("first:1", "second:1");
  expect([saidOf("first:1"), saidOf("second:1")]).toEqual([1, 1]);
  for (let from = 0; from < ADDRESSES_REMEMBERED_MAX; from += 64) {
    find(...Array.from({ length: 64 }, (_, index) => `host-${from + index}:1`));
  }
  const last = `host-${ADDRESSES_REMEMBERED_MAX - 1}:1`;
  find("first:1", last);
  expect([saidOf("first:1"), saidOf(last)]).toEqual([2, 1]);
});
