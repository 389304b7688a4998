/**
 * Simulated links keep the contract of real ones: what the simulator finds, or does not, counts.
 */

import { type Process, SimulatedLinks } from "../../sim/links.ts";
import { Network } from "../../sim/network.ts";
import { World } from "../../sim/world.ts";
import type { MachineEvent } from "../../src/core/event.ts";
import type { Machine } from "../../src/core/machine.ts";
import { Random } from "../../src/core/random.ts";
import { TIMINGS } from "../../src/core/timings.ts";
import type { LinkId } from "../../src/core/units.ts";
import type { TransportEvent } from "../../src/io/websocket-transport.ts";
import type { Identity } from "../../src/wire/handshake.ts";
import { type Endpoint, transportContract } from "../contract/transport-contract.ts";

/** What a machine always says of itself, and old greetings did not. */
const MACHINE = { era: undefined, isHosting: false, isAccompanied: false };
/** Virtual time after which nothing more will come, in ms. */
const WAIT_MS_MAX = 60_000;
/** What no resolver knows: to a simulated network, hosts that do not answer. */
const NO_ADDRESSES = ["nonsense", "256.256.256.256:1", "a:99999"];

const world = new World();
const network = new Network(world, new Random(1), {
  delayMsMean: 0.5,
  delayMsMin: 0.1,
  bytesPerMs: 100_000,
  lossProbability: 0,
  duplicateProbability: 0,
});
for (const address of NO_ADDRESSES) network.hide(address);
let endpointCount = 0;

/** A process with links and nothing else. */
class Bare implements Process {
  readonly name: string;
  readonly machine: Pick<Machine, "identity">;
  readonly options = { timings: TIMINGS.lan };
  readonly state = "up";
  readonly isPrompt = true;
  readonly wallMs: number;
  readonly events: TransportEvent[] = [];
  readonly open = new Set<LinkId>();
  lives = 0;

  constructor(name: string, identity: Identity) {
    this.name = name;
    this.machine = { identity: () => ({ ...MACHINE, ...identity }) };
    this.wallMs = identity.wallMs;
  }

  get now(): number {
    return world.now;
  }

  run(run: () => void): void {
    run();
  }

  step(event: MachineEvent): void {
    if (event.type === "link-opened") this.open.add(event.link);
    if (event.type === "link-closed") this.open.delete(event.link);
    this.events.push(event as TransportEvent);
  }
}

async function startSimulated(
  name: string,
  differences: Partial<Identity> = {},
): Promise<Endpoint> {
  endpointCount += 1;
  const address = `${name}-${endpointCount}:7100`;
  const identity: Identity = {
    versionLow: 1,
    versionHigh: 1,
    cluster: "hearsay",
    name,
    incarnation: `m0-${address}`,
    address,
    shardCount: 256,
    wallMs: 1_800_000_000_000,
    founding: undefined,
    ...differences,
  };
  const bare = new Bare(address, identity);
  const links = new SimulatedLinks(bare, world, network, new Random(endpointCount));
  network.listen(address, address, (connection) => links.connect(connection, 1, undefined));
  const others = (): string[] => [...network.connections].map(({ dialler }) => dialler);
  const end = (): void => {
    bare.lives += 1;
    links.drop(false);
    network.unlisten(address);
  };

  return {
    identity,
    events: bare.events,
    perform: (effect) => links.perform(effect),
    async next() {
      const untilMs = world.now + WAIT_MS_MAX;
      while (bare.events.length === 0 && world.now < untilMs) world.runUntil(world.now + 1);
      const event = bare.events.shift();
      if (event === undefined) throw new Error("No event came");
      return event;
    },
    turn: async () => world.runUntil(world.now + bare.options.timings.flushMs + 1),
    stall() {
      for (const other of others()) network.cut(other, address);
    },
    unstall() {
      for (const other of others()) network.heal(other, address);
    },
    kill: async () => end(),
    async close() {
      for (const link of bare.open) links.perform({ type: "close", link, code: "CLOSED" });
      bare.lives += 1; // What comes now reaches nobody.
      world.runUntil(world.now + 100);
      end();
    },
  };
}

transportContract("the simulated transport", startSimulated);
