/**
 * `hearsay index`: counts the words of real text files, and publishes for each shard what it contributes.
 *
 * Each file is a document, named by its path, and belongs to the shard that a peer says. What a shard
 * contributes is published whole and replaces what was there, so what counts beside the documents that peers host
 * is the folder that was indexed last. Nothing has to be remembered from one time to the next, in the folder
 * or anywhere else: the region compares what it is given with what it has published, and writes only what
 * changed. A file that is gone is not counted, and so it is taken out.
 *
 * Every shard is published, those without documents too: an answer is complete only when every shard has
 * said what it has.
 */
import { join } from "node:path";
import type { Allocation, Member } from "../core/effect.ts";
import type { Publication } from "../io/publication.ts";
import { defineCommand } from "./command.ts";
import { findDocuments } from "./documents.ts";
import { Failure } from "./failure.ts";
import { listOf } from "./output.ts";
import { PeerApi, type PeerCall } from "./peer-api.ts";
import { startProgress } from "./progress.ts";
import { countDocument, textOf, type Vocabulary } from "./vocabularies.ts";

/** More take more memory than a command should. */
const DOCUMENTS_MAX = 1_000_000;

/** Shards that are published at once. */
const PUBLISHING_MAX = 8;

/** How often a shard is tried whose region is unknown, moves, or does not answer. */
const ATTEMPTS_MAX = 6;
/** Between the first two of them, in ms; doubles from there, to 6 s in all. */
const RETRY_MS = 200;

/** Codes after which another attempt may succeed: the cluster is settling. */
const PASSING: ReadonlySet<string> = new Set([
  ...["NO_REGION", "NOT_OWNER", "NOT_READY", "UNREACHABLE", "TIMEOUT", "BUFFER_FULL", "CLOSED"],
]);

interface Found {
  readonly vocabularies: ReadonlyMap<string, Vocabulary>;
  readonly documents: number;
  readonly skipped: number;
}

export const index = defineCommand({
  usage: "index <directory>",
  summary: "count the words of all text files in a folder; replaces what was indexed before",
  settings: ["peer", "ca"],
  flags: { markdown: "only Markdown files" },
  example: "hearsay index notes && hearsay df monday",
  run: async (call) => {
    const api = PeerApi.of(call);
    try {
      await indexFolder(api, call);
    } finally {
      api.close();
    }
  },
});

async function indexFolder(api: PeerApi, { operands, flags, json, output }: PeerCall) {
  const [folder = ""] = operands;
  const shards = (await api.ask("GET", "/v1/shards")) as { readonly shard: string }[];
  if (shards.length === 0) throw new Failure("NO_SHARDS", "Cannot index: no shard is registered");
  const kind = flags.markdown ? "markdown" : "text";
  const names = shards.map(({ shard }) => shard);
  const { vocabularies, documents, skipped } = await count(api, folder, kind, names);
  const published = await publishAll(api, vocabularies);
  const terms = new Set([...vocabularies.values()].flatMap((each) => [...each.terms.keys()])).size;
  const changed = published.reduce((sum, publication) => sum + publication.changed, 0);
  const answer = { directory: folder, documents, skipped, terms, shards: names.length, changed };
  const lines = json ? [JSON.stringify(answer)] : listOf(Object.entries(answer));
  output.out(`${lines.join("\n")}\n`);
}

/** Reads the files of a folder and counts them, each in its shard. */
async function count(
  api: PeerApi,
  folder: string,
  kind: "text" | "markdown",
  shards: readonly string[],
): Promise<Found> {
  const found = await find(folder, kind);
  if (found.isCut) {
    throw new Failure("FRAME_TOO_LARGE", `Cannot index: there are over ${DOCUMENTS_MAX} files`);
  }
  const vocabularies = new Map<string, Vocabulary>();
  for (const shard of shards) vocabularies.set(shard, { documents: 0, terms: new Map() });
  const routes = await api.route(found.documents);
  const progress = await startProgress("Counting", routes.length);
  let skipped = found.skipped;
  try {
    for (const { document, shard } of routes) {
      const text = await textOf(join(folder, document));
      const vocabulary = vocabularies.get(shard ?? "");
      if (text === undefined || vocabulary === undefined) skipped += 1;
      else countDocument(vocabulary, text);
      progress.advance();
    }
  } finally {
    progress.stop();
  }
  return { vocabularies, documents: found.documents.length - (skipped - found.skipped), skipped };
}

async function find(folder: string, kind: "text" | "markdown") {
  try {
    return await findDocuments(folder, kind, DOCUMENTS_MAX);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const why = code === "ENOENT" ? "there is no such folder" : `it cannot be read (${code})`;
    throw new Failure("BAD_REQUEST", `Cannot index "${folder}": ${why}`);
  }
}

/** Publishes every shard at its region. Ends with the first failure that does not pass. */
async function publishAll(
  api: PeerApi,
  vocabularies: ReadonlyMap<string, Vocabulary>,
): Promise<Publication[]> {
  const waiting = [...vocabularies];
  const published: Publication[] = [];
  const regions = new Regions(api);
  const progress = await startProgress("Publishing", waiting.length);
  const work = async (): Promise<void> => {
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      published.push(await publishOne(regions, ...next));
      progress.advance();
    }
  };
  try {
    await Promise.all(Array.from({ length: PUBLISHING_MAX }, work));
  } finally {
    waiting.length = 0;
    progress.stop();
    regions.close();
  }
  return published;
}

async function publishOne(
  regions: Regions,
  shard: string,
  { documents, terms }: Vocabulary,
): Promise<Publication> {
  const path = `/v1/shards/${encodeURIComponent(shard)}/frequencies`;
  const vocabulary: Record<string, number> = Object.create(null);
  for (const [term, frequency] of terms) vocabulary[term] = frequency;
  for (let attempt = 1; ; attempt += 1) {
    try {
      // The region itself, as a rule; the peer that was asked for passes the call on.
      const peer = attempt === 1 ? await regions.hostOf(shard) : regions.asked;
      return (await peer.ask("PUT", path, { documents, terms: vocabulary })) as Publication;
    } catch (error) {
      const passes = error instanceof Failure && PASSING.has(error.code);
      if (!passes || attempt === ATTEMPTS_MAX) throw error;
      if (attempt > 1) await pause(RETRY_MS * 2 ** (attempt - 2));
    }
  }
}

/** Who hosts which shard, as the asked peer says, and connections to them. */
class Regions {
  readonly asked: PeerApi;
  readonly #peers = new Map<string, PeerApi>();
  #hosts: Promise<ReadonlyMap<string, string>> | undefined;

  constructor(asked: PeerApi) {
    this.asked = asked;
  }

  async hostOf(shard: string): Promise<PeerApi> {
    this.#hosts ??= this.#read();
    const address = (await this.#hosts).get(shard);
    if (address === undefined || address === this.asked.address) return this.asked;
    const known = this.#peers.get(address) ?? this.asked.other(address);
    this.#peers.set(address, known);
    return known;
  }

  close(): void {
    for (const peer of this.#peers.values()) peer.close();
  }

  /** The address of each shard's region. */
  async #read(): Promise<ReadonlyMap<string, string>> {
    const members = (await this.asked.ask("GET", "/v1/members")) as Member[];
    const allocations = (await this.asked.ask("GET", "/v1/allocations")) as Allocation[];
    const alive = members.filter(({ status }) => status === "alive");
    const addresses = new Map(alive.map(({ name, address }) => [name, address]));
    const hosts = new Map<string, string>();
    for (const { shard, region } of allocations) {
      const address = addresses.get(region);
      if (address !== undefined) hosts.set(shard, address);
    }
    return hosts;
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
