/**
 * One process of the `rpc` bench: a peer, or a bare WebSocket that answers every call with one route.
 */
import { type WebSocket, WebSocketServer } from "ws";
import { RpcOutbox } from "../../src/io/rpc-outbox.ts";
import { startPeer } from "../../src/peer.ts";
import { decodeRpcFrame, encodeRpcMessage, TO_PEER } from "../../src/wire/rpc-codec.ts";
import { answerParent } from "./child.ts";

/** What the parent asks. */
export type Question =
  /** Opens, and answers the address. */
  | { readonly type: "open" }
  /** How long this process has used a processor, in ms. */
  | { readonly type: "processor" };

async function open(kind: string): Promise<string> {
  if (kind === "peer") {
    const peer = await startPeer({ name: "a", listen: "127.0.0.1:0" });
    return peer.address;
  }
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });
  server.on("connection", echo);
  await new Promise((resolve) => server.once("listening", resolve));
  return `127.0.0.1:${(server.address() as { port: number }).port}`;
}

/** What a peer answers, from no table. */
const ROUTE = {
  shard: "shard-100",
  region: "a",
  token: 365_000_000_000_000,
  writer: "mhz0qk3c-Xu1pA3fLSGqk3nB0w3zR0Q-0",
};

function echo(socket: WebSocket): void {
  const outbox = new RpcOutbox((frame) => socket.send(frame));
  socket.on("message", (bytes: Buffer) => {
    const frame = decodeRpcFrame(bytes, TO_PEER);
    if (!frame.ok) throw new Error(frame.message);
    for (const message of frame.messages) {
      if (message.type !== "call") continue;
      outbox.add(encodeRpcMessage({ type: "answer", id: message.id, value: ROUTE }));
    }
  });
}

answerParent(async ({ type }: Question) => {
  if (type === "open") return open(process.argv[2] ?? "");
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
});
