import { once } from "node:events";
import { copyFile, writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import { type AddressInfo, connect as connectPlain } from "node:net";
import { join } from "node:path";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { afterEach, expect, test } from "vitest";
import { WebSocket } from "ws";
import { Credentials, type TlsFiles } from "../../src/io/tls.ts";
import { closeStatus } from "../../src/wire/close-code.ts";
import { Handshake } from "../../src/wire/handshake.ts";
import type { Endpoint } from "../contract/transport-contract.ts";
import { Authority, contentsOf } from "./certificates.ts";
import { startEndpoint } from "./endpoint.ts";

const ours = new Authority();
const theirs = new Authority();
const REFUSED = { type: "dial-failed", dial: 1, failure: "rejected", code: "AUTH_FAILED" };

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

type Listening = Endpoint & { readonly port: number };

/** An endpoint that calls itself `name`, with files that need not say so. */
async function start(name: string, files?: TlsFiles, says = name): Promise<Listening> {
  const party = { name: says, cluster: "hearsay" };
  const credentials = files && new Credentials(files, party, () => 0);
  const endpoint = await startEndpoint(name, {}, { credentials });
  closers.push(() => endpoint.close());
  return endpoint;
}

const good = async (name: string): Promise<Listening> => start(name, await ours.filesOf(name));

function dial(from: Endpoint, port: number): void {
  from.perform({ type: "dial", dial: 1, address: `127.0.0.1:${port}` });
}

/** Whether two endpoints link, whoever dials. */
async function refuseEachOther(a: Listening, b: Listening): Promise<void> {
  dial(a, b.port);
  dial(b, a.port);
  expect(await a.next()).toEqual(REFUSED);
  expect(await b.next()).toEqual(REFUSED);
  expect([...a.events, ...b.events]).toEqual([]);
}

/** Says hello as "stranger" over a socket with these options; returns the status it is closed with. */
async function helloOver(endpoint: Listening, options: ConnectionOptions): Promise<number> {
  const socket = new WebSocket(`wss://127.0.0.1:${endpoint.port}/peer`, {
    ...{ rejectUnauthorized: false, ...(options as object) },
  });
  closers.push(() => socket.terminate());
  const identity = { ...endpoint.identity, name: "stranger", incarnation: "m0-stranger" };
  const hello = new Handshake("dialler", identity, new Uint8Array(16)).start();
  socket.on("open", () => socket.send(hello ?? ""));
  socket.on("error", () => {});
  const [status] = await once(socket, "close");
  return status;
}

/** A server with these options that takes whoever comes; returns its port. */
async function serverWith(options: object): Promise<number> {
  const server = createServer(options).listen(0, "127.0.0.1");
  closers.push(() => server.close());
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

const AUTH_FAILED = closeStatus("AUTH_FAILED").status;

test("[S3, S7] peers with certificates of one authority link", async () => {
  const [a, b] = [await good("a"), await good("b")];
  dial(a, b.port);
  expect(await a.next()).toMatchObject({ type: "link-opened", remote: { name: "b" } });
  expect(await b.next()).toMatchObject({ type: "link-opened", remote: { name: "a" } });
});

test("[S7] who has no certificate is refused, and told so", async () => {
  const a = await good("a");
  expect(await helloOver(a, {})).toBe(AUTH_FAILED);
  expect(a.events).toEqual([]);
});

test("[S7] a certificate of another authority is refused, with the right names, both ways", async () => {
  await refuseEachOther(await good("a"), await start("b", await theirs.filesOf("b")));
});

test("[S7] another peer's certificate is refused, both ways", async () => {
  const stolen = await ours.filesOf("c");
  await refuseEachOther(await good("a"), await start("b", stolen, "c"));
});

test("[S7] the certificate of a peer of the same name in another cluster is refused", async () => {
  const files = await ours.filesOf("stranger", "elsewhere");
  const { cert, key } = contentsOf(files);
  const a = await good("a");
  expect(await helloOver(a, { ...(cert && { cert }), ...(key && { key }) })).toBe(AUTH_FAILED);
});

test("[S3] a certificate that has expired is refused, both ways", async () => {
  const a = await good("a");
  const files = await ours.make({ cluster: "hearsay", name: "stranger", days: -1 });
  const { cert = "", key = "", ca = "" } = contentsOf(files);
  expect(await helloOver(a, { cert, key })).toBe(AUTH_FAILED);
  dial(a, await serverWith({ cert, key, ca }));
  expect(await a.next()).toEqual(REFUSED);
  expect(() => new Credentials(files, { name: "stranger", cluster: "hearsay" }, () => 0)).toThrow(
    /it was good until/,
  );
});

test("[S3] TLS 1.2 is not spoken, at either end", async () => {
  const a = await good("a");
  const contents = contentsOf(await ours.filesOf("b"));
  const socket = connect({ port: a.port, host: "127.0.0.1", ...contents, maxVersion: "TLSv1.2" });
  closers.push(() => socket.destroy());
  const [error] = await once(socket, "error");
  expect(String(error.code)).toMatch(/PROTOCOL_VERSION|ECONNRESET/);
  dial(a, await serverWith({ ...contents, maxVersion: "TLSv1.2" }));
  expect(await a.next()).toEqual(REFUSED);
});

test("[S3] peers with TLS and without do not link, and nobody takes the other for dead", async () => {
  const [a, b] = [await good("a"), await start("b")];
  dial(a, b.port);
  expect(await a.next()).toEqual(REFUSED);
  dial(b, a.port);
  expect(await b.next()).toMatchObject({
    type: "dial-failed",
    failure: expect.not.stringMatching("refused"),
  });
  expect([...a.events, ...b.events]).toEqual([]);
});

test("[S3] a session that is resumed proves nothing", async () => {
  const a = await good("a");
  const contents = contentsOf(await ours.filesOf("stranger"));
  const options = { port: a.port, host: "127.0.0.1", ...contents, rejectUnauthorized: false };
  const first: TLSSocket = connect(options);
  closers.push(() => first.destroy());
  const [session] = (await once(first, "session")) as [Buffer];
  expect(await helloOver(a, { session })).toBe(AUTH_FAILED);
});

test("[S3] a certificate that was replaced counts for the next link; a broken one for none", async () => {
  const party = { name: "a", cluster: "hearsay" };
  const [before, after] = [await ours.filesOf("a"), await theirs.filesOf("a")];
  const files = {
    ...{ cert: join(ours.folder, "live.pem"), key: join(ours.folder, "live-key.pem") },
    ca: join(ours.folder, "live-ca.pem"),
  };
  const put = (from: TlsFiles): Promise<unknown> =>
    Promise.all([
      ...[copyFile(from.cert, files.cert), copyFile(from.key, files.key)],
      copyFile(from.ca, files.ca),
    ]);
  await put(before);
  let now = 0;
  const problems: string[] = [];
  const credentials = new Credentials(
    files,
    party,
    () => now,
    (problem) => problems.push(problem),
  );
  const a = await startEndpoint("a", {}, { credentials });
  closers.push(() => a.close());
  const [friend, stranger] = [await good("b"), await start("b", await theirs.filesOf("b"))];
  const outcome = async (from: Endpoint): Promise<string> => {
    now += 1000;
    dial(from, a.port);
    const { type } = await from.next();
    if (type === "link-opened") await a.next();
    return type;
  };
  expect([await outcome(friend), await outcome(stranger)]).toEqual(["link-opened", "dial-failed"]);

  await writeFile(files.cert, "half of a certif");
  expect(await outcome(friend)).toBe("link-opened");
  expect(await outcome(friend)).toBe("link-opened");
  expect(problems).toEqual([expect.stringContaining("it holds no certificate in PEM")]);

  await put(after);
  expect([await outcome(friend), await outcome(stranger)]).toEqual(["dial-failed", "link-opened"]);
  dial(a, stranger.port);
  expect(await a.next()).toMatchObject({ type: "link-opened" });
});

test("[S3] an authority is replaced without a gap: peers that know both link whichever signed them", async () => {
  const [old, renewed] = [await ours.filesOf("a"), await theirs.filesOf("b")];
  const both = join(ours.folder, "both.pem");
  const authorities = [old.ca, renewed.ca].map((path) => contentsOf({ ca: path }).ca);
  await writeFile(both, authorities.join(""));
  const a = await start("a", { ...old, ca: both });
  const b = await start("b", { ...renewed, ca: both });
  dial(a, b.port);
  expect(await a.next()).toMatchObject({ type: "link-opened", remote: { name: "b" } });
  expect(await b.next()).toMatchObject({ type: "link-opened", remote: { name: "a" } });
});

test("[S9] who connects and says nothing of TLS, or half of it, is gone in seconds, and others link", async () => {
  const [a, b] = [await good("a"), await good("b")];
  const hello = Uint8Array.of(0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00);
  const sockets = await Promise.all(
    Array.from({ length: 100 }, async (_, index) => {
      const socket = connectPlain(a.port, "127.0.0.1").on("error", () => {});
      closers.push(() => socket.destroy());
      await once(socket, "connect");
      if (index % 2 === 0) socket.write(hello);
      socket.resume();
      return socket;
    }),
  );
  dial(b, a.port);
  expect(await b.next()).toMatchObject({ type: "link-opened" });
  await Promise.all(sockets.map((socket) => socket.closed || once(socket, "close")));
});

test("[S3] files that are not this peer's are refused before anything is opened", async () => {
  const party = { name: "a", cluster: "hearsay" };
  const [a, b] = [await ours.filesOf("a"), await ours.filesOf("b")];
  const using = (files: TlsFiles) => (): unknown => new Credentials(files, party, () => 0);
  expect(using(b)).toThrow(/not the certificate of hearsay:\/\/hearsay\/a/);
  expect(using({ ...a, key: b.key })).toThrow(/not the key of/);
  expect(using({ ...a, key: a.cert })).toThrow(/others may read it|no private key/);
  expect(using({ ...a, ca: a.key })).toThrow(/no certificate/);
  expect(using({ ...a, cert: join(ours.folder, "none.pem") })).toThrow(/ENOENT/);
});
