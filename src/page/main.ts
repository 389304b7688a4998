/**
 * The page at `/edit`: one document in two panes, each at another peer, and who hosts it.
 *
 * Who the peers are is asked once over HTTP, and then followed like everything else, in documents:
 * `hearsay/members` and `hearsay/allocations` are the table, read-only. So the page goes on when the peer that
 * served it is gone.
 */
import { Doc } from "yjs";
import { Connection } from "./connection.ts";
import { Pane } from "./pane.ts";
import { isThere, nextPeer, type PeerRow } from "./peers.ts";

/** What is opened where the address names no document. */
const DOCUMENT = "notes/shared";

/** Peers that are shown by name. */
const PEERS_SHOWN = 24;

/** How long peers may take to answer before a page over TLS shows itself, in ms. */
const KNOCK_TIMEOUT_MS = 2000;

const TOKEN_KEY = "hearsay-token";

const part = <Kind extends HTMLElement>(id: string): Kind => document.getElementById(id) as Kind;

const name = new URLSearchParams(location.search).get("document") || DOCUMENT;
const memory = { token: sessionStorage.getItem(TOKEN_KEY) };

class Refused extends Error {}

/** Asks this page's own peer. Throws `Refused` for want of a token. */
async function ask(path: string): Promise<unknown> {
  const headers = memory.token === null ? {} : { authorization: `Bearer ${memory.token}` };
  const answer = await fetch(path, { headers, cache: "no-store" });
  const body = await answer.json();
  if (answer.status === 401 || answer.status === 403) throw new Refused(body.error.message);
  if (!answer.ok) throw new Error(body.error.message);
  return body;
}

/** `own`: the peer that has served this page, which may go by another address in this browser. */
const socketOf =
  (document: string, own: string) =>
  (peer: PeerRow): WebSocket => {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const host = peer.name === own ? location.host : peer.address;
    const query = memory.token === null ? "" : `?token=${encodeURIComponent(memory.token)}`;
    return new WebSocket(`${scheme}//${host}/documents/${encodeURIComponent(document)}${query}`);
  };

const knocked = new Set<string>();

/**
 * Over TLS peers ask everybody for a certificate, which links need and browsers do not. A browser that has not
 * settled this with a peer gives sockets to it up; a request settles it. Its answer does not matter.
 */
async function knock(peers: readonly PeerRow[]): Promise<void> {
  if (location.protocol !== "https:") return;
  const addresses = peers.map(({ address }) => address).filter((each) => !knocked.has(each));
  const signal = AbortSignal.timeout(KNOCK_TIMEOUT_MS);
  await Promise.allSettled(
    addresses.map((address) => {
      knocked.add(address);
      const how = { mode: "no-cors", credentials: "include", signal } as const;
      return fetch(`https://${address}/healthz`, how);
    }),
  );
}

/** The rows of a document of the cluster about itself, from whatever peer is there. */
function follow<Row>(
  document: string,
  own: string,
  peers: () => readonly PeerRow[],
  changed: (rows: ReadonlyMap<string, Row>) => void,
): void {
  const doc = new Doc();
  const rows = doc.getMap<Row>("rows");
  doc.on("afterTransaction", () => {
    if (rows.size > 0) changed(new Map(rows.entries()));
  });
  const connection = new Connection({
    ...{ doc, open: socketOf(document, own), changed: () => {} },
    next: (tried) => nextPeer(peers(), own, tried, new Set()),
  });
  connection.move();
}

async function start(): Promise<void> {
  const [status, members, [route]] = (await Promise.all([
    ask("/v1/status"),
    ask("/v1/members"),
    ask(`/v1/route?document=${encodeURIComponent(name)}`),
  ])) as [{ name: string }, PeerRow[], [{ shard: string | null; region: string | null }]];
  const own = status.name;
  let peers: readonly PeerRow[] = members;
  let owner = route.region;
  await knock(peers.filter(isThere));
  const panes: Pane[] = [];
  const show = (): void => {
    showOwner(route.shard, owner);
    showPeers(peers, owner);
    for (const pane of panes) pane.showPeers(owner ?? undefined);
  };
  const others = peers.filter((peer) => isThere(peer) && peer.name !== own);
  const sides = [
    ["Left side", "Ada", own],
    ["Right side", "Grace", others[0]?.name ?? own],
  ] as const;
  for (const [label, who, wished] of sides) {
    const pane = new Pane(part("pane"), wished, {
      ...{ label, name: who, peers: () => peers, open: socketOf(name, own) },
      used: (by) => new Set(panes.flatMap((each) => (each === by ? [] : (each.peer ?? [])))),
    });
    panes.push(pane);
    part("panes").append(pane.element);
  }
  show();
  follow<Omit<PeerRow, "name">>(
    "hearsay/members",
    own,
    () => peers,
    (rows) => {
      peers = [...rows]
        .map(([peer, row]) => ({ ...row, name: peer }))
        .sort((a, b) => (a.name < b.name ? -1 : 1));
      void knock(peers.filter(isThere));
      show();
    },
  );
  follow<{ region: string }>(
    "hearsay/allocations",
    own,
    () => peers,
    (rows) => {
      owner = (route.shard !== null && rows.get(route.shard)?.region) || null;
      show();
    },
  );
}

function showOwner(shard: string | null, owner: string | null): void {
  const pieces: (string | Node)[] =
    shard === null
      ? ["There is no shard, so nobody hosts this document."]
      : ["It belongs to ", code(shard), ", hosted by ", code(owner ?? "nobody"), "."];
  const text = pieces
    .map((piece) => (typeof piece === "string" ? piece : piece.textContent))
    .join("");
  if (part("owner").textContent !== text) part("owner").replaceChildren(...pieces);
}

function showPeers(peers: readonly PeerRow[], owner: string | null): void {
  const chips = peers.slice(0, PEERS_SHOWN).map((peer) => {
    const chip = document.createElement("li");
    chip.className = `chip${peer.name === owner ? " owner" : ""}${isThere(peer) ? "" : " gone"}`;
    chip.textContent = `${peer.name} ${peer.name === owner ? "hosts it" : peer.status}`;
    return chip;
  });
  part("peers").replaceChildren(...chips);
}

function code(text: string): HTMLElement {
  const element = document.createElement("code");
  element.textContent = text;
  return element;
}

function showProblem(text: string): void {
  part("problem").textContent = text;
  part("problem").hidden = text === "";
}

async function begin(): Promise<void> {
  try {
    await start();
    part("enter").hidden = true;
    showProblem("");
  } catch (error) {
    part("enter").hidden = !(error instanceof Refused);
    showProblem((error as Error).message);
    if (error instanceof Refused) part("token").focus();
  }
}

part<HTMLInputElement>("document").value = name;
document.title = `${name} - hearsay`;
part("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  memory.token = part<HTMLInputElement>("token").value;
  sessionStorage.setItem(TOKEN_KEY, memory.token);
  void begin();
});
void begin();
