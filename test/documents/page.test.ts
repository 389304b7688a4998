import { once } from "node:events";
import { expect, test } from "vitest";
import { WebSocket } from "ws";
import type { Peer } from "../../src/peer.ts";
import { start } from "../peers.ts";
import { documentPeers } from "./clients.ts";

/** How a socket for a document fares that a page of `origin` opens. */
async function admission(peer: Peer, origin: string, path = "/documents/x"): Promise<string> {
  const socket = new WebSocket(`ws://${peer.address}${path}`, { origin });
  const outcome = await Promise.race([
    once(socket, "open").then(() => "open"),
    once(socket, "unexpected-response").then(([, { statusCode }]) => `${statusCode}`),
  ]);
  socket.on("error", () => {});
  socket.terminate();
  return outcome;
}

test("[Y13] the page comes with all that it needs, and may load nothing else", async () => {
  const a = await start("a", { documents: true, tokens: ["token-that-may-read read"] });
  const at = (path: string) => fetch(`http://${a.address}${path}`);
  const page = await at("/edit?document=notes");
  expect(page.status).toBe(200);
  expect(page.headers.get("content-type")).toBe("text/html; charset=utf-8");
  const policy = page.headers.get("content-security-policy");
  expect(policy).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self'; /);
  expect(policy).not.toContain("unsafe");
  const html = await page.text();
  const needed = [...html.matchAll(/(?:src|href)="(\/[^"]*)"/g)].map(([, path]) => path as string);
  expect(needed.sort()).toEqual(["/edit/main.css", "/edit/main.js"]);
  for (const path of needed) expect((await at(path)).status).toBe(200);
  expect(html).not.toMatch(/<script(?! type="module" src)| style=| on[a-z]+=/);
  for (const path of ["/edit/", "/edit/index.html", "/edit/../package.json", "/edit/main.js.map"]) {
    expect((await at(path)).status, path).toBe(401); // None of the files that are open to all.
  }
  expect((await at("/v1/members")).status).toBe(401);
});

test("[Y13] a peer without documents shows neither the page nor links to what it has not", async () => {
  const [without, having] = [await start("a"), await start("b", { documents: true })];
  const linksOf = async (peer: Peer): Promise<string[]> => {
    const html = await (await fetch(`http://${peer.address}/`)).text();
    return [...html.matchAll(/href="([^"]*)"/g)].map(([, path]) => path as string);
  };
  expect((await fetch(`http://${without.address}/edit`)).status).toBe(404);
  expect(await linksOf(without)).not.toContain("/edit");
  const links = [...(await linksOf(without)), ...(await linksOf(having))];
  expect(links.filter((path) => path.startsWith("/v1/search"))).toHaveLength(1);
  for (const peer of [without, having]) {
    for (const path of await linksOf(peer)) {
      const ended = new AbortController();
      const { signal } = ended;
      const { status } = await fetch(`http://${peer.address}${path}`, { signal });
      expect(status, path).toBe(200);
      ended.abort(); // One of them is a stream.
    }
  }
});

test("[Y13, S2] pages of other members are let in to documents and to nothing else, foreign ones to none", async () => {
  const [a, b] = (await documentPeers("a b")) as [Peer, Peer];
  const [, port] = a.address.split(":");
  expect(await admission(b, `http://${b.address}`)).toBe("open");
  expect(await admission(b, `http://${a.address}`)).toBe("open");
  expect(await admission(b, `http://localhost:${port}`)).toBe("open");
  const foreign = [
    `https://${a.address}`,
    `http://evil.example:${port}`,
    "http://127.0.0.1:1",
    "null",
  ];
  for (const origin of foreign) expect(await admission(b, origin), origin).toBe("403");
  expect(await admission(b, `http://${a.address}`, "/rpc")).toBe("403");
  await a.close();
  expect(await admission(b, `http://${a.address}`)).toBe("open"); // Its page goes on.
  const [c] = (await documentPeers("c", { origins: ["https://example.org"] })) as [Peer];
  expect(await admission(c, "https://example.org")).toBe("open");
  expect(await admission(c, `http://${c.address}`)).toBe("403");
});
