/**
 * The two ends of Redis streams: an inbox that one process reads, and an outbox for those of others.
 *
 * Rules: SPEC.md, V14.
 */
import type { RedisArgument } from "@redis/client";
import { MESSAGE_BYTES_MAX, WRITER_LENGTH_MAX } from "../../core/limits.ts";
import { NAME_PATTERN, type PeerName } from "../../core/units.ts";
import type { Frame } from "../conversations.ts";
import { type RedisConnection, RedisRefusal, type Reply } from "./redis-connection.ts";

/** Entries that a stream may have: of 256 peers, all that each may have on its way. Redis cuts it about there. */
const STREAM_ENTRIES_MAX = 16_384;

/** Entries that are read at a time: with the longest messages, 64 MiB. */
const READ_ENTRIES_MAX = 64;

/** How long Redis waits for entries before it says that there are none, in ms. Longer than a pulse. */
const READ_BLOCK_MS = 2000;

/** How often what was read is trimmed, in ms. */
const TRIM_MS = 1000;

/** How long a stream stays that nobody pulses in, in ms. */
const STREAM_EXPIRES_MS = 600_000;

/** Entries that are appended at a time. */
const BATCH_ENTRIES_MAX = 64;

/** Entries that wait to be appended, and their bytes. */
const OUTBOX_ENTRIES_MAX = 16_384;
const OUTBOX_BYTES_MAX = 8_388_608;

/** What an entry takes beside its message, in bytes, about. */
const ENTRY_BYTES = 256;

/** The form of entries. */
const FORMAT = "1";

const START = "0-0";

export interface Entry {
  readonly from: PeerName;
  readonly frame: Frame;
}

/** The stream that a peer reads. */
export function streamOf(cluster: string, peer: PeerName): string {
  return `hearsay:${cluster}:live:${peer}`;
}

/** Reads one stream, from the first time on without a gap, over whatever connections there are. */
export class RedisInbox {
  readonly #stream: string;
  readonly #now: () => number;
  #position: string | undefined;

  constructor(stream: string, now: () => number) {
    this.#stream = stream;
    this.#now = now;
  }

  /** Whether it is known where to read from: whatever is written from then on is read. */
  get hasPosition(): boolean {
    return this.#position !== undefined;
  }

  /** Reads until `signal` aborts. `read` hears of entries, and before the first of that it may come. */
  async read(
    connection: RedisConnection,
    signal: AbortSignal,
    read: (entries: readonly Entry[]) => void,
  ): Promise<void> {
    await this.#orient(connection);
    read([]);
    let trimmedAt = this.#now();
    while (!signal.aborted) {
      const reply = await this.#ask(
        connection,
        ["XREAD", "COUNT", `${READ_ENTRIES_MAX}`, "BLOCK", `${READ_BLOCK_MS}`, "STREAMS"],
        [this.#position ?? START],
        READ_BLOCK_MS,
      );
      const entries = entriesOf(reply);
      if (entries.length === 0) await this.#orient(connection);
      this.#position = entries.at(-1)?.id ?? this.#position;
      read(entries.flatMap(({ entry }) => entry ?? []));
      if (this.#now() - trimmedAt < TRIM_MS) continue;
      trimmedAt = this.#now();
      await this.#ask(connection, ["XTRIM"], ["MINID", this.#position ?? START]);
      await this.#ask(connection, ["PEXPIRE"], [`${STREAM_EXPIRES_MS}`]);
    }
  }

  /** Where the stream ends. One that ends before what was read is another one, to be read whole. */
  async #orient(connection: RedisConnection): Promise<void> {
    let last = START;
    try {
      const fields = await this.#ask(connection, ["XINFO", "STREAM"], []);
      last = fieldOf(fields, "last-generated-id");
    } catch (error) {
      if (!(error instanceof RedisRefusal) || !/no such key/i.test(error.message)) throw error;
    }
    if (this.#position === undefined) this.#position = last;
    else if (isBefore(last, this.#position)) this.#position = START;
  }

  async #ask(
    connection: RedisConnection,
    before: readonly string[],
    after: readonly string[],
    blockMs = 0,
  ): Promise<Reply> {
    try {
      return await connection.ask([...before, this.#stream, ...after], blockMs);
    } catch (error) {
      if (isSpoilt(error)) await connection.ask(["DEL", this.#stream]);
      throw error;
    }
  }
}

interface Outgoing {
  readonly to: PeerName;
  readonly stream: string;
  readonly command: readonly RedisArgument[];
  readonly bytes: number;
  readonly isPulse: boolean;
}

/** Appends to the streams of others, in order, each entry once or, when a connection is lost, again. */
export class RedisOutbox {
  readonly #cluster: string;
  readonly #from: PeerName;
  readonly #onRefused: (to: PeerName) => void;
  #waiting: Outgoing[] = [];
  #bytes = 0;
  #wake: () => void = () => {};

  /** `onRefused` hears of entries that Redis does not take. */
  constructor(cluster: string, from: PeerName, onRefused: (to: PeerName) => void) {
    this.#cluster = cluster;
    this.#from = from;
    this.#onRefused = onRefused;
  }

  get isFull(): boolean {
    return this.#bytes >= OUTBOX_BYTES_MAX || this.#waiting.length >= OUTBOX_ENTRIES_MAX;
  }

  /** False: too much waits, and it is not taken. */
  put(to: PeerName, frame: Frame): boolean {
    if (this.#waiting.length >= 2 * OUTBOX_ENTRIES_MAX) return false; // [S4]
    const stream = streamOf(this.#cluster, to);
    const limit = ["MAXLEN", "~", `${STREAM_ENTRIES_MAX}`];
    const command = ["XADD", stream, ...limit, "*", ...wordsOfFrame(this.#from, frame)];
    const bytes = ENTRY_BYTES + (frame.body?.length ?? 0);
    this.#waiting.push({ to, stream, command, bytes, isPulse: frame.body === undefined });
    this.#bytes += bytes;
    this.#wake();
    return true;
  }

  clear(): void {
    this.#waiting = [];
    this.#bytes = 0;
  }

  /** Appends what waits until `signal` aborts. `appended` is called whenever something was. */
  async write(
    connection: RedisConnection,
    signal: AbortSignal,
    appended: () => void,
  ): Promise<void> {
    await connection.ask(["PING"]);
    appended();
    while (!signal.aborted) {
      const batch = this.#waiting.slice(0, BATCH_ENTRIES_MAX);
      if (batch.length === 0) {
        await this.#somethingToDo(connection);
        continue;
      }
      await this.#append(connection, batch);
      for (const each of batch) {
        if (this.#waiting[0] !== each) break; // It was cleared meanwhile.
        this.#waiting.shift();
        this.#bytes -= each.bytes;
      }
      appended();
    }
  }

  /** Rejects when the connection was lost, and it is not known what of the batch was appended. */
  async #append(connection: RedisConnection, batch: readonly Outgoing[]): Promise<void> {
    const asked = batch.map(({ command }) => connection.ask(command));
    const pulsed = new Set(batch.flatMap(({ isPulse, stream }) => (isPulse ? [stream] : [])));
    const kept = [...pulsed].map((stream) =>
      connection.ask(["PEXPIRE", stream, `${STREAM_EXPIRES_MS}`]),
    );
    const results = await Promise.allSettled(asked);
    await Promise.allSettled(kept);
    for (const [index, result] of results.entries()) {
      if (result.status === "fulfilled") continue;
      const { to, stream } = batch[index] as Outgoing;
      if (!(result.reason instanceof RedisRefusal)) throw result.reason;
      if (isSpoilt(result.reason)) await connection.ask(["DEL", stream]);
      this.#onRefused(to);
    }
  }

  /** Resolves when something waits. Redis is asked now and then whether it is there. */
  async #somethingToDo(connection: RedisConnection): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const isDue = await new Promise<boolean>((resolve) => {
      this.#wake = () => resolve(false);
      timer = setTimeout(() => resolve(true), READ_BLOCK_MS).unref();
    });
    clearTimeout(timer);
    this.#wake = () => {};
    if (isDue) await connection.ask(["PING"]);
  }
}

/** The stream is none, or has no ids left: whatever it is, it can only go. */
function isSpoilt(error: unknown): boolean {
  return (
    error instanceof RedisRefusal &&
    /^WRONGTYPE|equal or smaller|exhausted the last/.test(error.message)
  );
}

function wordsOfFrame(from: PeerName, frame: Frame): RedisArgument[] {
  const { session, about, count, heard, body } = frame;
  const words: RedisArgument[] = ["v", FORMAT, "f", from, "s", session, "a", about];
  words.push("n", `${count}`, "h", `${heard}`);
  if (body !== undefined) words.push("b", Buffer.from(body.buffer, body.byteOffset, body.length));
  return words;
}

/** What a stream holds: whatever it is, it becomes entries, those that make no sense without a content. */
function entriesOf(reply: Reply): { readonly id: string; readonly entry: Entry | undefined }[] {
  const [stream] = Array.isArray(reply) ? (reply as readonly Reply[]) : [];
  const [, entries] = Array.isArray(stream) ? (stream as readonly Reply[]) : [];
  return (Array.isArray(entries) ? (entries as readonly Reply[]) : []).map((each) => {
    const [id, words] = each as readonly Reply[];
    return { id: String(id), entry: Array.isArray(words) ? readEntry(words) : undefined };
  });
}

/** Reads what somebody has written into a stream; undefined when it is none of ours. */
export function readEntry(words: readonly Reply[]): Entry | undefined {
  const fields = new Map<string, Buffer>();
  for (let at = 0; at + 1 < words.length && at < 14; at += 2) {
    const [name, value] = [words[at], words[at + 1]];
    if (!Buffer.isBuffer(name) || !Buffer.isBuffer(value)) return undefined;
    fields.set(name.toString("latin1", 0, 8), value);
  }
  const text = (name: string): string => fields.get(name)?.toString("latin1", 0, 128) ?? "";
  const [from, session, about, count, heard] = ["f", "s", "a", "n", "h"].map(text) as [
    ...[string, string, string, string, string],
  ];
  const body = fields.get("b");
  if (text("v") !== FORMAT || !NAME_PATTERN.test(from)) return undefined;
  if (session === "" || session.length > WRITER_LENGTH_MAX) return undefined;
  if (about.length > WRITER_LENGTH_MAX) return undefined;
  if (!isCount(count) || !isCount(heard)) return undefined;
  if (body !== undefined && (count === "0" || body.length > MESSAGE_BYTES_MAX)) return undefined;
  return { from, frame: { session, about, count: Number(count), heard: Number(heard), body } };
}

const isCount = (text: string): boolean => /^(?:0|[1-9]\d{0,14})$/.test(text);

function fieldOf(fields: Reply, name: string): string {
  const words = Array.isArray(fields) ? (fields as readonly Reply[]) : [];
  const at = words.findIndex((word) => String(word) === name);
  return at < 0 ? START : String(words[at + 1]);
}

/** Whether an id of an entry comes before another one. */
function isBefore(a: string, b: string): boolean {
  const [[aMs = 0n, aNext = 0n], [bMs = 0n, bNext = 0n]] = [a, b].map((id) =>
    id.split("-").map((part) => (/^\d+$/.test(part) ? BigInt(part) : 0n)),
  ) as [bigint[], bigint[]];
  return aMs < bMs || (aMs === bMs && aNext < bNext);
}
