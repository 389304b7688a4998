/**
 * The page that edits a document through two peers, in a real browser, while these are killed.
 */
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { freePorts, type PeerRun, Processes, until } from "../end-to-end/processes.ts";

const CHROMIUM = "/usr/bin/chromium";

/** The browser runs its pages apart from each other by what containers do not let it do. */
const FLAGS = ["--no-sandbox"];

/** What is waited for longer than this will never happen, in ms. */
const WAIT_MS_MAX = 20_000;

const SHARDS = 16;

let browser: Browser;
let processes = new Processes();
const problems: string[] = [];

const isMissing = !existsSync(CHROMIUM);
if (isMissing) console.log(`Skipped: there is no ${CHROMIUM}`);

beforeAll(async () => {
  if (!isMissing) browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
});

afterAll(async () => {
  if (!isMissing) await browser.close();
});

beforeEach(() => {
  processes = new Processes();
  problems.length = 0;
});

afterEach(async () => {
  await Promise.all(browser.contexts().map((context) => context.close()));
  await processes.close();
});

async function cluster(...flags: string[]): Promise<PeerRun[]> {
  const addresses = (await freePorts(3)).map((port) => `127.0.0.1:${port}`);
  const peers = addresses.map((address, index) =>
    processes.peer([
      ...[
        "--name",
        `peer-${index + 1}`,
        "--listen",
        address,
        "--join",
        addresses.join(","),
        "--shards",
        String(SHARDS),
      ],
      ...["--timings", "local", ...flags],
    ]),
  );
  await Promise.all(peers.map((peer) => peer.ready()));
  await until("shards everywhere", peers, async () => {
    const regions = (await peers[0]?.allocations())?.map(({ region }) => region) ?? [];
    return new Set(regions).size === peers.length && regions.length === SHARDS;
  });
  return peers;
}

/** The page of a peer. What it could not load, run or connect to for want of a right is a problem. */
async function open(peer: PeerRun, query = ""): Promise<Page> {
  const page = await browser.newPage();
  page.setDefaultTimeout(WAIT_MS_MAX);
  page.on("pageerror", ({ message }) => problems.push(message));
  page.on("console", (message) => {
    if (/policy|refused to/i.test(message.text())) problems.push(message.text());
  });
  await page.goto(`http://${peer.address}/edit${query}`);
  return page;
}

const sideOf = (page: Page, side: "Left" | "Right") =>
  page.getByRole("region", { name: `${side} side` });
const textOf = (page: Page, side: "Left" | "Right") => sideOf(page, side).getByRole("textbox");

/** Waits until both sides show this text. */
async function bothShow(page: Page, text: string): Promise<void> {
  for (const side of ["Left", "Right"] as const) {
    await expect.poll(() => textOf(page, side).inputValue(), { timeout: WAIT_MS_MAX }).toBe(text);
  }
}

/** Waits until what was typed is stored in enough copies, and both sides are at a peer. */
async function bothStored(page: Page): Promise<void> {
  await expect
    .poll(() => page.locator(".state .word").allTextContents(), { timeout: WAIT_MS_MAX })
    .toEqual(["all edits stored", "all edits stored"]);
}

async function peerOf(page: Page, side: "Left" | "Right"): Promise<string> {
  return sideOf(page, side).getByRole("combobox").inputValue();
}

async function ownerOf(page: Page): Promise<string> {
  return (await page.locator("#owner code").nth(1).textContent()) ?? "";
}

async function kill(peers: readonly PeerRun[], name: string): Promise<void> {
  const index = Number(name.slice("peer-".length)) - 1;
  await peers[index]?.end("SIGKILL");
}

test.skipIf(isMissing)(
  "[Y13] what is typed at one peer is read at another, over the kill of the peer that hosts it",
  async () => {
    const peers = await cluster();
    // A document that is hosted where neither side is: the page's own peer and the next one.
    const routes = (await peers[0]?.api.route(
      Array.from({ length: 64 }, (_, number) => `notes/${number}`),
    )) as { document: string; region: string }[];
    const { document } = routes.find(({ region }) => region === "peer-3") as { document: string };
    const page = await open(peers[0] as PeerRun, `?document=${encodeURIComponent(document)}`);
    await textOf(page, "Left").pressSequentially("Left. ");
    await bothShow(page, "Left. ");
    await textOf(page, "Right").press("End");
    await textOf(page, "Right").pressSequentially("Right 😀.");
    await bothShow(page, "Left. Right 😀.");
    await sideOf(page, "Left")
      .getByRole("list", { name: "Who is here" })
      .getByText("Grace")
      .waitFor();
    expect(await ownerOf(page)).toBe("peer-3");
    expect([await peerOf(page, "Left"), await peerOf(page, "Right")]).toEqual(["peer-1", "peer-2"]);

    await kill(peers, "peer-3");
    await textOf(page, "Left").press("End");
    await textOf(page, "Left").pressSequentially(" On");
    await textOf(page, "Right").press("End");
    await textOf(page, "Right").pressSequentially("!");
    await expect.poll(() => ownerOf(page), { timeout: WAIT_MS_MAX }).not.toBe("peer-3");
    await bothStored(page);
    const text = await textOf(page, "Left").inputValue();
    expect([...text].sort().join("")).toBe([..."Left. Right 😀. On!"].sort().join(""));
    await bothShow(page, text);
    expect([await peerOf(page, "Left"), await peerOf(page, "Right")]).toEqual(["peer-1", "peer-2"]);
    expect(problems).toEqual([]);
  },
);

test.skipIf(isMissing)(
  "[Y13, S2] a side whose own peer is killed moves on and says so, that of the page's peer too",
  async () => {
    const peers = await cluster();
    const page = await open(peers[0] as PeerRun);
    await textOf(page, "Left").pressSequentially("one");
    await bothShow(page, "one");
    await bothStored(page);
    // With the peer that has served the page, which is where its sockets come from.
    await kill(peers, "peer-1");
    await textOf(page, "Left").press("End");
    await textOf(page, "Left").pressSequentially(" two");
    await page.getByText("peer-1 does not answer: moved on to peer-3.").waitFor();
    await bothShow(page, "one two");
    await bothStored(page);
    // Then the next one: both sides share the last peer.
    await kill(peers, "peer-2");
    await textOf(page, "Right").press("End");
    await textOf(page, "Right").pressSequentially(" three");
    await page.getByText("peer-2 does not answer: moved on to peer-3.").waitFor();
    await bothShow(page, "one two three");
    await expect.poll(() => ownerOf(page), { timeout: WAIT_MS_MAX }).toBe("peer-3");
    expect([await peerOf(page, "Left"), await peerOf(page, "Right")]).toEqual(["peer-3", "peer-3"]);
    expect(problems).toEqual([]);
  },
);

test.skipIf(isMissing)(
  "[Y13, Y8] a page of a peer with tokens asks for one, and with one for reading only reads",
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "hearsay-page-"));
    try {
      const tokens = join(folder, "tokens");
      await writeFile(tokens, "token-that-may-read read\ntoken-that-may-write write\n", {
        mode: 0o600,
      });
      const [address = 0] = await freePorts(1);
      const args = ["--name", "peer-1", "--listen", `127.0.0.1:${address}`, "--token-file", tokens];
      const peer = await processes.peer(args, { HEARSAY_TOKEN: "token-that-may-write" }).ready();
      const page = await open(peer);
      await page.getByText("Cannot answer without a token").waitFor();
      await page.getByLabel("Token").fill("token-that-may-write");
      await page.keyboard.press("Enter");
      await textOf(page, "Left").pressSequentially("mine");
      await bothShow(page, "mine");
      const reader = await open(peer);
      await reader.getByLabel("Token").fill("token-that-may-read");
      await reader.keyboard.press("Enter");
      await bothShow(reader, "mine");
      await textOf(reader, "Left").pressSequentially("not ");
      await reader.getByText("An edit was refused: This document is read-only here.").waitFor();
      await bothShow(page, "mine");
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
);

test.skipIf(isMissing)("[Y13, S3] the page works over TLS, at both of its peers", async () => {
  const certs = await mkdtemp(join(tmpdir(), "hearsay-page-"));
  try {
    const made = await processes.run(["certs", "a", "b", "--out", certs]).end();
    expect([made.code, made.stderr]).toEqual([0, ""]);
    const addresses = (await freePorts(2)).map((port) => `127.0.0.1:${port}`);
    const peers = ["a", "b"].map((name, index) =>
      processes.peer([
        ...["--name", name, "--listen", addresses[index] ?? "", "--join", addresses.join(",")],
        ...["--shards", "16", "--timings", "local", "--tls-ca", join(certs, "ca.pem")],
        ...["--tls-cert", join(certs, `${name}.pem`), "--tls-key", join(certs, `${name}-key.pem`)],
      ]),
    );
    for (const peer of peers) await peer.says(/"event":"ready"/);
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    const page = await context.newPage();
    page.setDefaultTimeout(WAIT_MS_MAX);
    await page.goto(`https://${addresses[0]}/edit`);
    await textOf(page, "Left").pressSequentially("secret");
    await bothShow(page, "secret");
    expect([await peerOf(page, "Left"), await peerOf(page, "Right")]).toEqual(["a", "b"]);
  } finally {
    await rm(certs, { recursive: true, force: true });
  }
});
