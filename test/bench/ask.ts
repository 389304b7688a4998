/**
 * Asks between two processes: how many in a second, and how long one takes when nobody else asks.
 *
 * One process asks entities of shards that the other one hosts; the host answers what it was sent. Beside
 * them two processes of this file's `echo` do the same over a bare WebSocket with the same codec, one
 * message in a frame and no table: what the machine can do at best without coalescing.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Child } from "./child.ts";
import type { Command } from "./host-child.ts";
import { percentile } from "./measure.ts";
import type { Bench } from "./report.ts";

const SHARDS = 64;
const WARM_UPS = 60_000;
const ASKS = 200_000;
const AT_ONCE = 1024;
const UNLOADED = 3000;

interface Asked {
  readonly totalMs: number;
  readonly eachMs: Float64Array;
}

export const bench: Bench = {
  summary: "asks between two processes, per second and one at a time, against a bare WebSocket",
  run: async (progress) => {
    const peers = [0, 1].map(() => new Child(new URL("./host-child.ts", import.meta.url)));
    const echoes = ["server", "client"].map(
      (role) => new Child(new URL("./echo-child.ts", import.meta.url), [role]),
    );
    const [a, b] = peers as [Child, Child];
    const [server, client] = echoes as [Child, Child];
    const ask = (child: Child, command: Command): Promise<unknown> => child.ask(command);
    try {
      progress("starting two peers, and a server and a client");
      const common = { type: "open", listen: "127.0.0.1:0", shards: SHARDS } as const;
      const address = (await ask(a, { ...common, name: "a", join: [] })) as string;
      await ask(b, { ...common, name: "b", join: [address] });
      while ((await ask(a, { type: "isSettled", count: 2 })) !== true) await sleep(50);
      const port = await server.ask({ type: "listen" });
      await client.ask({ type: "connect", port });
      const peersAsk = (count: number, atOnce: number) =>
        ask(a, { type: "askAtOnce", region: "b", count, atOnce }) as Promise<Asked>;
      const bareAsk = (count: number, atOnce: number) =>
        client.ask({ type: "ask", count, atOnce }) as Promise<Asked>;
      progress("warming up");
      await peersAsk(WARM_UPS, AT_ONCE);
      await bareAsk(WARM_UPS, AT_ONCE);
      progress("asking one at a time, then many at once");
      const [alone, bareAlone] = [await peersAsk(UNLOADED, 1), await bareAsk(UNLOADED, 1)];
      const [loaded, bare] = [await peersAsk(ASKS, AT_ONCE), await bareAsk(ASKS, AT_ONCE)];
      const rate = ({ totalMs }: Asked): number => (ASKS * 1000) / totalMs;
      return [
        {
          title: `${AT_ONCE} asks under way`,
          figures: [
            { name: "peers", value: rate(loaded), unit: "/s", target: { atLeast: 100_000 } },
            { name: "bare WebSocket and codec", value: rate(bare), unit: "/s" },
          ],
        },
        {
          title: "one ask at a time",
          figures: [
            {
              ...{ name: "peers, p50", value: percentile([...alone.eachMs], 0.5), unit: "ms" },
              target: { atMost: 0.3 },
            },
            { name: "peers, p99", value: percentile([...alone.eachMs], 0.99), unit: "ms" },
            {
              ...{ name: "bare, p50", value: percentile([...bareAlone.eachMs], 0.5), unit: "ms" },
            },
          ],
        },
      ];
    } finally {
      await Promise.all([...peers, ...echoes].map((child) => child.end()));
    }
  },
};
