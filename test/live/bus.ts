/**
 * Peers that are all gateways and regions, in memory: conversations that carry messages in order until they
 * are cut, a table that not everybody has read yet, and shards with the rows of one place.
 *
 * Messages travel as their words, so that what cannot travel is found.
 */
import { expect } from "vitest";
import { shardOf } from "../../src/core/shard-of.ts";
import { applyDeltas } from "../../src/live/delta.ts";
import { LiveGateway, type Position } from "../../src/live/gateway.ts";
import { type LiveMessage, readMessage, wordsOf } from "../../src/live/message.ts";
import type { LiveQuery } from "../../src/live/query.ts";
import { LiveRegion, type RegionRead } from "../../src/live/region.ts";
import type { Row, Scalar } from "../../src/live/row.ts";
import { RowTable } from "../../src/live/row-table.ts";
import { queryOf, TABLES } from "./rows.ts";

export const SHARD_COUNT = 4;
export const SHARD = `shard-${shardOf("t", "task", SHARD_COUNT)}`;

/** A client, as a user would write one. */
export class Client {
  rows: Row[] | undefined;
  at: Position | undefined;
  resets = 0;
  ended: string | undefined;
  readonly versions = new Map<string, number>();

  readonly id: number;
  readonly gateway: Peer;
  asked: Partial<LiveQuery>;

  constructor(id: number, gateway: Peer, asked: Partial<LiveQuery>) {
    this.id = id;
    this.gateway = gateway;
    this.asked = asked;
  }
}

export class Peer {
  readonly region = new LiveRegion({ tables: TABLES, shardCount: SHARD_COUNT });
  readonly gateway: LiveGateway;
  readonly table = new RowTable();
  /** Where this peer thinks that the shard is. */
  believes: string | undefined;
  readonly clients = new Map<number, Client>();
  readonly reads: RegionRead[] = [];
  isBlocked = false;

  readonly name: string;

  constructor(name: string) {
    this.name = name;
    this.gateway = new LiveGateway({
      membership: { regionOf: () => this.believes },
      shardCount: SHARD_COUNT,
    });
  }
}

export class Bus {
  readonly peers: readonly Peer[];
  now = 0;
  /** What is on its way, by `from>to`. */
  readonly wires = new Map<string, object[]>();
  #token = 0;

  constructor(names: readonly string[]) {
    this.peers = names.map((name) => new Peer(name));
  }

  peer(name: string): Peer {
    return this.peers.find((peer) => peer.name === name) as Peer;
  }

  /** Gives the shard to a region, with the rows that it had; everybody knows. */
  give(to: string, { knowing = this.peers }: { knowing?: readonly Peer[] } = {}): void {
    const next = this.peer(to);
    const before = this.peers.find((peer) => peer !== next && peer.believes === peer.name);
    if (before !== undefined && knowing.includes(before)) before.region.release(SHARD);
    const newest = this.peers.reduce((a, b) => (b.table.position > a.table.position ? b : a));
    for (const record of newest.table.records("t", "task")) next.table.merge("t", "task", record);
    this.#token += 1;
    next.region.serve(SHARD, { token: this.#token, writer: to }, next.table.position);
    for (const peer of knowing) this.learn(peer, to);
  }

  learn(peer: Peer, region: string | undefined): void {
    peer.believes = region;
    peer.gateway.moved(SHARD);
  }

  write(at: string, id: string, columns: readonly Scalar[] | undefined): void {
    const { table, region } = this.peer(at);
    const outcome =
      columns === undefined
        ? table.delete("t", "task", id, undefined)
        : table.put("t", "task", { id, version: undefined, values: [id, ...columns] });
    if (outcome.ok && outcome.change) region.changed(SHARD, outcome.change);
  }

  subscribe(at: string, asked: Partial<LiveQuery>, resume?: Position): Client {
    const peer = this.peer(at);
    const client = new Client(
      peer.gateway.subscribe(queryOf(asked), this.now, resume),
      peer,
      asked,
    );
    peer.clients.set(client.id, client);
    return client;
  }

  /** Puts on the wires what peers have to say. */
  post(from: Peer, to: Peer): void {
    if (from.isBlocked) return;
    const wire = this.#wire(from, to);
    const controls = from.gateway.nextFrame(to.name, this.now);
    for (const message of controls ?? []) wire.push(wordsOf(message));
    const answers = from.region.nextFrame(to.name);
    for (const message of answers ?? []) wire.push(wordsOf(message));
  }

  /** The next message on a wire arrives. */
  deliver(from: Peer, to: Peer): void {
    const words = this.#wire(from, to).shift();
    if (words === undefined) return;
    const message = readMessage(JSON.parse(JSON.stringify(words))) as LiveMessage;
    expect(message).toBeDefined();
    if ("query" in message || message.type === "unsubscribe")
      to.region.received(from.name, message);
    else to.gateway.received(from.name, message, this.now);
    this.hear(to);
  }

  /** The conversation of two peers ends; both are told. */
  cut(a: Peer, b: Peer): void {
    this.wires.delete(`${a.name}>${b.name}`);
    this.wires.delete(`${b.name}>${a.name}`);
    for (const [one, other] of a === b
      ? [[a, b]]
      : [
          [a, b],
          [b, a],
        ]) {
      one?.region.lost(other?.name ?? "");
      one?.gateway.lost(other?.name ?? "");
    }
  }

  /** A read is begun, or an earlier one answered. */
  read(peer: Peer): void {
    const read = peer.region.nextRead();
    if (read !== undefined) peer.reads.push(read);
    else this.answer(peer);
  }

  answer(peer: Peer): void {
    const read = peer.reads.shift();
    if (read !== undefined) peer.region.rowsRead(read, peer.table.read(read.request));
  }

  pass(ms: number): void {
    this.now += ms;
    for (const peer of this.peers) {
      peer.gateway.tick(this.now);
      this.hear(peer);
    }
  }

  /** Clients take what there is for them. */
  hear(peer: Peer): void {
    for (const [id, news] of peer.gateway.takeNews()) {
      const client = peer.clients.get(id);
      if (client === undefined) continue;
      if (news.type === "ended") client.ended = news.refusal.code;
      else {
        if (news.type === "reset") {
          client.rows = [...news.rows];
          client.resets += 1;
        } else {
          expect(news.batch.after).toBe(client.at?.sequence);
          expect(applyDeltas(client.rows ?? [], news.batch.deltas)).toBe(true);
        }
        client.at = news.at;
      }
    }
  }

  /** Everything arrives, until nothing is left to be said. */
  settle(turns = 400): void {
    for (let turn = 0; turn < turns; turn += 1) {
      for (const from of this.peers) {
        this.read(from);
        for (const to of this.peers) {
          this.post(from, to);
          while (this.#wire(from, to).length > 0) this.deliver(from, to);
        }
        this.hear(from);
      }
      if (turn % 10 === 9) this.pass(100);
    }
  }

  #wire(from: Peer, to: Peer): object[] {
    const key = `${from.name}>${to.name}`;
    const known = this.wires.get(key);
    if (known !== undefined) return known;
    const wire: object[] = [];
    this.wires.set(key, wire);
    return wire;
  }
}
