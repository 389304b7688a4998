/**
 * One end of a bare WebSocket for the `ask` bench: the codec of peers, a message in each frame, nothing else.
 */
import { WebSocket, WebSocketServer } from "ws";
import { encodeBody } from "../../src/wire/body.ts";
import { decodeFrame, encodeFrame } from "../../src/wire/codec.ts";
import { answerParent } from "./child.ts";
import { nowMs } from "./measure.ts";

type Question =
  | { readonly type: "listen" }
  | { readonly type: "connect"; readonly port: number }
  | { readonly type: "ask"; readonly count: number; readonly atOnce: number };

const waiting = new Map<number, () => void>();
let socket: WebSocket | undefined;
let lastAsk = 0;

function listen(): Promise<number> {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });
  server.on("connection", (client) => {
    client.on("message", (bytes: Buffer) => {
      const frame = decodeFrame(bytes);
      const [message] = frame.ok ? frame.messages : [];
      if (message?.type !== "ask") return;
      const { ask, body } = message;
      client.send(encodeFrame([{ type: "answer", ask, outcome: { how: "done", body } }]));
    });
  });
  return new Promise((resolve) => {
    server.once("listening", () => resolve((server.address() as { port: number }).port));
  });
}

async function connect(port: number): Promise<null> {
  const client = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: false });
  await new Promise((resolve) => client.once("open", resolve));
  client.on("message", (bytes: Buffer) => {
    const frame = decodeFrame(bytes);
    const [message] = frame.ok ? frame.messages : [];
    if (message?.type === "answer") waiting.get(message.ask)?.();
  });
  socket = client;
  return null;
}

function ask(index: number, entity: string): Promise<void> {
  lastAsk += 1;
  const number = lastAsk;
  const body = encodeBody(index);
  const common = { type: "ask", ask: number, since: 1, shard: "shard-7", token: 1 } as const;
  const bytes = "bytes" in body ? body.bytes : new Uint8Array();
  socket?.send(encodeFrame([{ ...common, entity, remainingMs: 5000, writer: "", body: bytes }]));
  return new Promise((resolve) => {
    waiting.set(number, () => {
      waiting.delete(number);
      resolve();
    });
  });
}

async function askAll(count: number, atOnce: number): Promise<object> {
  const eachMs = new Float64Array(count);
  let next = 0;
  const loop = async (entity: string): Promise<void> => {
    while (next < count) {
      const index = next;
      next += 1;
      const askedMs = nowMs();
      await ask(index, entity);
      eachMs[index] = nowMs() - askedMs;
    }
  };
  const startMs = nowMs();
  await Promise.all(Array.from({ length: atOnce }, (_, index) => loop(`entity-${index}`)));
  return { totalMs: nowMs() - startMs, eachMs };
}

answerParent((question: Question): Promise<unknown> => {
  if (question.type === "listen") return listen();
  if (question.type === "connect") return connect(question.port);
  return askAll(question.count, question.atOnce);
});
