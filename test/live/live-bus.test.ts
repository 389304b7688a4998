import { LinkBus } from "../../src/live/shell/link-bus.ts";
import type { Peer } from "../../src/peer.ts";
import { liveBusContract } from "../contract/live-bus-contract.ts";
import { start } from "../peers.ts";
import { MemoryHub } from "./memory-bus.ts";

liveBusContract("a bus in memory", async () => {
  const hub = new MemoryHub();
  return {
    start: async (name, listener) => hub.bus(name, listener),
    kill: async (name) => hub.remove(name),
    end: async () => {},
  };
});

liveBusContract("links between peers as a bus", async () => {
  const peers = new Map<string, Peer>();
  return {
    start: async (name, listener) => {
      const [known] = peers.values();
      const join = known === undefined ? {} : { join: [known.address] };
      const peer = await start(name, { ...join, downing: "off" });
      peers.set(name, peer);
      return new LinkBus(peer.services, listener);
    },
    kill: async (name) => {
      await peers.get(name)?.close();
      peers.delete(name);
    },
    end: async () => {}, // Peers end with their test.
  };
});
