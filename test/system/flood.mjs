/**
 * Asks a peer for as many different live queries as it is told to, over some connections of one token at a time:
 *
 *   node flood.mjs ADDRESS TOKEN QUERIES CONNECTIONS read|ignore
 *
 * A connection that is closed is made anew. Prints as JSON what became of queries and of connections.
 */
import { WebSocket } from "ws";

const [address, token, queries, connections, manner] = process.argv.slice(2);
const became = {};
const closed = {};
let asked = 0;

const count = (counts, what) => {
  counts[what] = (counts[what] ?? 0) + 1;
};

async function connected() {
  const headers = { authorization: `Bearer ${token}` };
  const socket = new WebSocket(`ws://${address}/live`, { headers, perMessageDeflate: false });
  socket.on("error", () => {});
  socket.on("close", (status, reason) => count(closed, `${status} ${reason}`));
  socket.on("message", (bytes) => {
    const { subscribed, ended } = JSON.parse(bytes.toString());
    if (subscribed === true) count(became, "subscribed");
    else if (ended !== undefined) count(became, ended.code);
  });
  await new Promise((resolve) => {
    socket.once("open", resolve);
    socket.once("close", resolve);
  });
  if (manner === "ignore") socket.pause();
  return socket;
}

async function flood() {
  while (asked < Number(queries)) {
    const socket = await connected();
    for (let sub = 0; asked < Number(queries) && socket.readyState === WebSocket.OPEN; sub += 1) {
      asked += 1;
      const where = [{ column: "priority", op: "eq", value: asked }];
      const query = { tenant: "t", entity: "task", where };
      socket.send(JSON.stringify({ op: "subscribe", sub, query }));
      // As fast as they are taken.
      while (socket.bufferedAmount > 1_000_000 && socket.readyState === WebSocket.OPEN) {
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    }
  }
}

process.on("message", () => {}); // Lives as long as its parent.
process.on("disconnect", () => process.exit());
await Promise.all(Array.from({ length: Number(connections) }, flood));
console.log(JSON.stringify({ asked, became, closed }));
process.exit();
