/**
 * Lets checkers hear what happens to simulated peers.
 */
import type { Change } from "../src/core/effect.ts";
import type { Checker } from "./checker.ts";
import type { Observer, SimulatedPeer } from "./peer.ts";

/** Tells all checkers what happens to peers; a change is told `noted` first. */
export function observerOf(
  checkers: readonly Checker[],
  noted: (peer: SimulatedPeer, change: Change) => void,
): Observer {
  // Most checkers listen to few things, and steps are many.
  const [persisted, changed] = [
    listenersOf(checkers, "persisted"),
    listenersOf(checkers, "changed"),
  ];
  const [answered, stepped] = [listenersOf(checkers, "answered"), listenersOf(checkers, "stepped")];
  const [booted, wiped] = [listenersOf(checkers, "booted"), listenersOf(checkers, "wiped")];
  const [asked, handled] = [listenersOf(checkers, "asked"), listenersOf(checkers, "handled")];
  const [acquired, released] = [
    listenersOf(checkers, "acquired"),
    listenersOf(checkers, "released"),
  ];
  const [tasked, delivered] = [listenersOf(checkers, "tasked"), listenersOf(checkers, "delivered")];
  return {
    persisted: (peer, maps) => {
      for (const listener of persisted) listener(peer, maps);
    },
    wiped: (peer) => {
      for (const listener of wiped) listener(peer);
    },
    changed: (peer, change) => {
      noted(peer, change);
      for (const listener of changed) listener(peer, change);
    },
    tasked: (peer, task) => {
      for (const listener of tasked) listener(peer, task);
    },
    delivered: (peer, delivery) => {
      for (const listener of delivered) listener(peer, delivery);
    },
    answered: (peer, call, outcome) => {
      for (const listener of answered) listener(peer, call, outcome);
    },
    booted: (peer) => {
      for (const listener of booted) listener(peer);
    },
    asked: (peer, ask, outcome) => {
      for (const listener of asked) listener(peer, ask, outcome);
    },
    handled: (peer, task, operation) => {
      for (const listener of handled) listener(peer, task, operation);
    },
    acquired: (peer, task, imported) => {
      for (const listener of acquired) listener(peer, task, imported);
    },
    released: (peer, shard, counts) => {
      for (const listener of released) listener(peer, shard, counts);
    },
    stepped: (peer, event) => {
      for (const listener of stepped) listener(peer, event);
    },
  };
}

/** What the checkers do about something, of those that do anything. */
function listenersOf<Hook extends keyof Checker>(
  checkers: readonly Checker[],
  hook: Hook,
): NonNullable<Checker[Hook]>[] {
  return checkers.flatMap((checker) => {
    const listener = checker[hook] as ((...args: unknown[]) => void) | undefined;
    return listener === undefined ? [] : [listener.bind(checker) as NonNullable<Checker[Hook]>];
  });
}
