/**
 * Who lives and can be reached is not dead to anybody for long, and who is dead is dead to all who go on.
 *
 * Here it is known who lives and what is cut, so beliefs are held against the truth. A pair of peers is
 * judged only after nothing has been wrong with either of them or between them for a while, and a death
 * only by those who may host: the others write no verdicts.
 *
 * Two findings about single verdicts are judged besides. Nobody is suspected whom another one hears, as
 * far as few enough peers are there that everybody is asked. And a side that finds an address refusing
 * removes its peer at once only when it reaches as many as it takes to go on: else it may be the network that refuses.
 */
import type { MachineEvent } from "../../src/core/event.ts";
import { type MemberState, VERDICTS } from "../../src/core/membership.ts";
import type { Entry, MapEntries } from "../../src/core/message.ts";
import type { Checker, Report } from "../checker.ts";
import type { Network } from "../network.ts";
import type { RunOptions } from "../options.ts";
import type { SimulatedPeer } from "../peer.ts";
import { goesOn } from "./downing.ts";

/** How long somebody who can be reached may be dead to another one, in ms. */
const FALSE_DEATH_MS_MAX = 10_000;
/** How long somebody dead may be alive to another one that has suspected it never before, in ms. */
const DETECTION_MS_MAX = 10_000;
/** How far two clocks may be apart in a pair that is judged: less than the drift bound, in ms. */
const CLOCK_MS_MAX = 2000;
/** What was reachable so long ago may have been heard since a link was lost, in ms. */
const RECENT_MS = 2000;
/** How long paths must have been good before a suspicion across them is wrong, in ms. */
const GOOD_MS = 4000;
/** A frame may take so many times the mean; then no answer of a witness comes in time. */
const SLOW_FRAME = 10;
/** Peers among whom everybody else is asked before a suspicion: the two, and three witnesses. */
const ASKED_MAX = 5;

/** What goes on between two peers, as one of them sees the other. */
interface Pair {
  /** Since when both are well and nothing is between them; undefined while that is not so. */
  wellSince: number | undefined;
  /** When both ran last, and nothing was between them, or this one heard the other. */
  reachedAt: number;
  deadSince: number | undefined;
  /** Since when the other is down or hangs while this one is well and goes on. */
  missedSince: number | undefined;
  /** How often this one has suspected the other by mistake. */
  suspicions: number;
}

export class DetectionChecker implements Checker {
  readonly #report: Report;
  readonly #network: Network;
  readonly #options: RunOptions;
  /** By the name of who sees, then of who is seen. */
  readonly #pairs = new Map<string, Map<string, Pair>>();
  #peers: readonly SimulatedPeer[] = [];

  constructor(report: Report, network: Network, options: RunOptions) {
    this.#report = report;
    this.#network = network;
    this.#options = options;
  }

  /** A new life has no patience with anybody, and nobody has any with it. */
  booted(peer: SimulatedPeer): void {
    for (const [name, others] of this.#pairs) {
      for (const [other, pair] of others) {
        if (name !== peer.name && other !== peer.name) continue;
        pair.wellSince = undefined;
        pair.missedSince = undefined;
        pair.suspicions = 0;
      }
    }
  }

  sampled(peers: readonly SimulatedPeer[]): void {
    this.#peers = peers;
    // A clone lives on under the name of another, and a hostile peer says so of the dead.
    const isJudged = !this.#options.faults.some((kind) => kind === "clone" || kind === "hostile");
    for (const peer of peers) {
      for (const other of peers) {
        if (peer === other) continue;
        const pair = this.#pair(peer.name, other.name);
        if (this.#isReached(peer, other)) pair.reachedAt = this.#network.world.now;
        if (isJudged) this.#look(peer, other, pair);
      }
    }
  }

  /** What is cut and healed many times in a second lets a frame through that nobody sees. */
  stepped(peer: SimulatedPeer, event: MachineEvent): void {
    if (event.type !== "received") return;
    const remote = peer.links.remoteOf(event.link);
    if (remote !== undefined) this.#pair(peer.name, remote).reachedAt = this.#network.world.now;
  }

  persisted(peer: SimulatedPeer, maps: readonly MapEntries[]): void {
    if (this.#options.faults.includes("clone")) return;
    for (const { map, entries } of maps) {
      if (map !== VERDICTS) continue;
      for (const entry of entries) {
        if (entry.writer === peer.machine?.incarnation) this.#said(peer, entry);
      }
    }
  }

  #look(peer: SimulatedPeer, other: SimulatedPeer, pair: Pair): void {
    const { now } = this.#network.world;
    const isWell = isFine(peer) && isFine(other) && this.#isOpen(peer, other);
    pair.wellSince = isWell ? (pair.wellSince ?? now) : undefined;
    const member = peer.machine?.view.membership.get(other.name);
    const isMember = other.machine?.view.membership.get(other.name)?.row.incarnation;
    const isJoined = isMember !== undefined && isMember === other.machine?.incarnation;

    const isFalse = isWell && isJoined && member?.status === "dead";
    pair.deadSince = isFalse ? (pair.deadSince ?? now) : undefined;
    if (pair.deadSince !== undefined && now - pair.deadSince > FALSE_DEATH_MS_MAX) {
      this.#report("L7", `${other.name} lives and is dead to ${peer.name}: ${member?.why}`);
      pair.deadSince = now;
    }

    const goesOn = isFine(peer) && peer.machine?.isReady === true;
    const isMissed = goesOn && other.state !== "up" && isThere(member);
    pair.missedSince = isMissed ? (pair.missedSince ?? now) : undefined;
    const patientMs = DETECTION_MS_MAX * 2 ** pair.suspicions;
    if (pair.missedSince !== undefined && now - pair.missedSince > patientMs) {
      this.#report("L8", `${other.name} is ${other.state}, and ${member?.status} to ${peer.name}`);
      pair.missedSince = now;
    }
  }

  #said(peer: SimulatedPeer, { key, value }: Entry): void {
    const [subject = ""] = key.split("/");
    const [kind, , , , why] = Array.isArray(value) ? value : [];
    const pair = this.#pair(peer.name, subject);
    // A suspicion of somebody who is down is no mistake, and costs no patience.
    if (kind === "suspect" && pair.missedSince === undefined) pair.suspicions += 1;
    if ((peer.options.diskMs ?? 0) > 0) return; // What was so when it was said is not known any more.
    if (kind === "suspect") this.#judgeSuspicion(peer, subject);
    // Those whose deaths have stood for long are removed by whoever goes on, whatever they died of.
    const isAtOnce = `${why}`.startsWith("nothing listens") && !`${why}`.includes(", and so for ");
    if (kind === "removed" && isAtOnce) this.#judgeEnd(peer, subject);
  }

  /** [F3] Somebody whom both hear would have said so. */
  #judgeSuspicion(peer: SimulatedPeer, subject: string): void {
    const { now } = this.#network.world;
    const { lossProbability, delayMsMean } = this.#options;
    if (lossProbability > 0 || this.#peers.length > ASKED_MAX) return;
    if (delayMsMean * SLOW_FRAME > peer.options.timings.probeTimeoutMs) return;
    const isGood = (one: SimulatedPeer, other: SimulatedPeer): boolean => {
      const { wellSince } = this.#pair(one.name, other.name);
      // What went wrong since it was looked at last is seen now.
      return wellSince !== undefined && now - wellSince > GOOD_MS && this.#isReached(one, other);
    };
    const accused = this.#peers.find(({ name }) => name === subject);
    if (accused === undefined) return;
    const heard = this.#peers.find((witness) => {
      const isWitness =
        witness !== peer && witness !== accused && witness.machine?.isReady === true;
      return isWitness && isGood(peer, witness) && isGood(witness, accused);
    });
    if (heard === undefined) return;
    this.#report("F3", `${peer.name} suspects ${subject}, whom ${heard.name} hears`);
  }

  /** [F5, F9] As many as it takes to go on after a partition were heard a moment ago. */
  #judgeEnd(peer: SimulatedPeer, subject: string): void {
    const { now } = this.#network.world;
    const members = peer.machine?.view.membership.all() ?? [];
    const counted = members.filter(({ name, status, removed }) => {
      return name === subject || (!removed && status !== "left");
    });
    if (counted.length <= 2 || peer.options.downing === "off") return;
    // Beyond a full mesh its neighbours stand for all members: who that is, is for the overlay to know.
    if (members.length > this.#options.meshMax) return;
    const isHere = ({ name }: MemberState): boolean => {
      if (now - this.#pair(peer.name, name).reachedAt < RECENT_MS) return true;
      const other = this.#peers.find((each) => each.name === name);
      return name === peer.name || (other !== undefined && this.#isReached(peer, other));
    };
    const here = counted.filter((member) => member.name !== subject && isHere(member));
    if (goesOn(peer.options.downing, here, counted)) return;
    const share = `${here.length} of ${counted.length}`;
    this.#report("F5", `${peer.name} removes ${subject} and reaches ${share} members`);
  }

  #pair(name: string, other: string): Pair {
    const known = this.#pairs.get(name)?.get(other);
    if (known !== undefined) return known;
    const pair = {
      wellSince: undefined,
      reachedAt: Number.NEGATIVE_INFINITY,
      deadSince: undefined,
      missedSince: undefined,
      suspicions: 0,
    };
    const others = this.#pairs.get(name) ?? new Map<string, Pair>();
    this.#pairs.set(name, others);
    others.set(other, pair);
    return pair;
  }

  #isReached(peer: SimulatedPeer, other: SimulatedPeer): boolean {
    return peer.state === "up" && other.state === "up" && this.#isOpen(peer, other);
  }

  #isOpen({ name: one }: SimulatedPeer, { name: other }: SimulatedPeer): boolean {
    const network = this.#network;
    return (
      network.cutBetween(one, other) === undefined && network.cutBetween(other, one) === undefined
    );
  }
}

/** Whether a peer runs, at its usual pace, by a clock that others take for right. */
function isFine({ state, slowMs, wallOffsetMs }: SimulatedPeer): boolean {
  return state === "up" && slowMs === 0 && Math.abs(wallOffsetMs) <= CLOCK_MS_MAX;
}

function isThere(member: MemberState | undefined): boolean {
  return member?.status === "alive" || member?.status === "suspect";
}
