/**
 * Runs a user's host: carries out what the state machine asks of it, and reports how it went.
 *
 * What changes who serves a shard (import, acquire, release) happens one after another for each
 * shard, so a host never sees a release before the acquire is done, however long that takes. Messages run as
 * they come: that they come in order is the machine's part.
 *
 * A host may throw, hang, or never look at its signal: nothing here waits for it but its own shard.
 * Everything that it throws becomes a report. What it does after its life has ended is ignored.
 *
 * Rules: SPEC.md, H2, H3 and S5.
 */
import { isWellFormed } from "../core/canonical.ts";
import type { HostReport, HostTask } from "../core/host-task.ts";
import { CHUNK_BYTES_MAX } from "../core/limits.ts";
import type { ShardId } from "../core/units.ts";
import { type Body, decodeBody, encodeBody } from "../wire/body.ts";
import { Chunks } from "./host-chunks.ts";

type TaskOf<T extends HostTask["type"]> = Extract<HostTask, { readonly type: T }>;

/** What a runner runs: `Host` of the library, or part of it. */
export interface RunnableHost {
  onAcquire(shard: ShardId, context: AcquireContext): unknown;
  onMessage(message: Body, context: MessageContext): unknown;
  /** The shard is served on, under a higher token. What throws here is not told again. */
  onRenew?(shard: ShardId, context: AcquireContext): unknown;
  onRelease(shard: ShardId): unknown;
  exportState?(shard: ShardId): AsyncIterable<Body> | Iterable<Body>;
  importState?(shard: ShardId, chunks: AsyncIterable<Body>, context: ImportContext): unknown;
  onPassivate?(entity: string, context: EntityContext): unknown;
}

interface ShardContext {
  readonly token: number;
  readonly writer: string;
  readonly signal: AbortSignal;
}

export interface AcquireContext extends ShardContext {
  readonly from: string | undefined;
  readonly entities: readonly string[];
}

export interface MessageContext extends ShardContext {
  readonly shard: ShardId;
  readonly entity: string | undefined;
  readonly from: string;
}

export interface EntityContext extends ShardContext {
  readonly shard: ShardId;
  readonly entity: string;
}

export interface ImportContext {
  readonly from: string;
  readonly signal: AbortSignal;
}

/** State that goes out; `token` names the handoff. */
interface Export {
  readonly token: number;
  readonly chunks: AsyncIterator<Body> | Iterator<Body>;
}

/** Length of what a report says of an error, in UTF-16 code units: it travels. */
const ERROR_LENGTH_MAX = 300;

export class HostRunner {
  readonly #host: RunnableHost;
  readonly #report: (report: HostReport) => void;
  /** The last task of each shard that others of it have to wait for. */
  readonly #chains = new Map<ShardId, Promise<void>>();
  /** Aborts what runs under the present service of a shard. */
  readonly #controllers = new Map<ShardId, AbortController>();
  readonly #imports = new Map<ShardId, Chunks>();
  readonly #exports = new Map<ShardId, Export>();
  #isClosed = false;

  /** `report` may be called in the middle of a turn, but never before `perform` has returned. */
  constructor(host: RunnableHost, report: (report: HostReport) => void) {
    this.#host = host;
    this.#report = (reported) => {
      if (!this.#isClosed) report(reported);
    };
  }

  perform(task: HostTask): void {
    switch (task.type) {
      case "handle":
        void this.#handle(task);
        break;
      case "passivate":
        void this.#passivate(task);
        break;
      case "acquire":
        this.#chain(task.shard, () => this.#acquire(task));
        break;
      case "renew":
        this.#chain(task.shard, () => this.#renew(task));
        break;
      case "release":
        this.#chain(task.shard, () => this.#release(task));
        break;
      case "cancel":
        this.#cancel(task.shard, "The shard is served here no longer");
        break;
      case "export":
        void this.#export(task);
        break;
      case "import":
        this.#import(task);
        break;
      case "abandon":
        this.#abandon(task.shard);
    }
  }

  /** Resolves when every shard that was let go of is. */
  async idle(): Promise<void> {
    await Promise.all(this.#chains.values());
  }

  /** Aborts what runs, and reports nothing any more. */
  close(): void {
    this.#isClosed = true;
    for (const shard of [...this.#controllers.keys()]) this.#cancel(shard, "The peer has ended");
    for (const shard of [...this.#imports.keys(), ...this.#exports.keys()]) this.#abandon(shard);
  }

  async #handle(task: TaskOf<"handle">): Promise<void> {
    const { work, shard, token, writer, from } = task;
    const entity = task.entity === "" ? undefined : task.entity;
    const { signal } = this.#controllerOf(shard);
    let report: HostReport;
    try {
      await undefined; // Never in the middle of the step that asks for it.
      const message = decodeBody(task.body);
      if (message === undefined) throw new Error("The message is malformed");
      const context = { shard, entity, token, writer, from, signal };
      const answer = encodeBody(await this.#host.onMessage(message.body, context));
      report =
        "bytes" in answer
          ? { type: "handled", work, body: answer.bytes }
          : { type: "handled", work, error: `The answer ${answer.reason}` };
    } catch (error) {
      report = { type: "handled", work, error: textOf(error) };
    }
    this.#report(report);
  }

  async #passivate({ work, shard, token, writer, entity }: TaskOf<"passivate">): Promise<void> {
    const { signal } = this.#controllerOf(shard);
    let report: HostReport = { type: "handled", work, body: new Uint8Array() };
    try {
      await undefined;
      await this.#host.onPassivate?.(entity, { shard, entity, token, writer, signal });
    } catch (error) {
      report = { type: "handled", work, error: textOf(error) };
    }
    this.#report(report);
  }

  async #acquire({ shard, token, writer, from, entities }: TaskOf<"acquire">): Promise<void> {
    this.#cancel(shard, "The shard is acquired anew");
    const { signal } = this.#controllerOf(shard);
    const error = await this.#attempt(() =>
      this.#host.onAcquire(shard, { token, writer, from, entities, signal }),
    );
    this.#report({ type: "acquired", shard, token, error });
  }

  async #renew({ shard, token, writer }: TaskOf<"renew">): Promise<void> {
    const { signal } = this.#controllerOf(shard);
    const context = { token, writer, from: undefined, entities: [], signal };
    await this.#attempt(() => this.#host.onRenew?.(shard, context));
  }

  async #release({ shard, token }: TaskOf<"release">): Promise<void> {
    this.#cancel(shard, "The shard has been given away");
    const error = await this.#attempt(() => this.#host.onRelease(shard));
    this.#report({ type: "released", shard, token, error });
  }

  /** [H2] The next chunk; the iterator is asked for it only now. */
  async #export({ shard, token }: TaskOf<"export">): Promise<void> {
    try {
      await undefined;
      const known = this.#exports.get(shard);
      // What was left of an earlier handoff has nothing to do with this one.
      const exporting = known?.token === token ? known : this.#startExport(shard, token);
      const next = await exporting.chunks.next();
      if (this.#exports.get(shard) !== exporting) return; // Abandoned meanwhile.
      const isLast = next.done === true;
      if (isLast) this.#exports.delete(shard);
      const chunk = encodeBody(isLast ? undefined : next.value, CHUNK_BYTES_MAX);
      if (!("bytes" in chunk)) throw new Error(`A chunk ${chunk.reason}`);
      this.#report({
        type: "exported",
        shard,
        token,
        chunk: chunk.bytes,
        isLast,
        error: undefined,
      });
    } catch (error) {
      const none = { chunk: new Uint8Array(), isLast: true };
      this.#report({ type: "exported", shard, token, ...none, error: textOf(error) });
    }
  }

  #startExport(shard: ShardId, token: number): Export {
    const state = this.#host.exportState?.(shard) ?? [];
    const chunks =
      Symbol.asyncIterator in state
        ? state[Symbol.asyncIterator]()
        : (state as Iterable<Body>)[Symbol.iterator]();
    const exporting = { token, chunks };
    this.#exports.set(shard, exporting);
    return exporting;
  }

  #import({ shard, token, from, number, chunk, isLast }: TaskOf<"import">): void {
    const report = (error: string | undefined): void =>
      this.#report({ type: "imported", shard, token, number, error });
    const known = this.#imports.get(shard);
    const chunks = number > 0 && known !== undefined ? known : this.#startImport(shard, from);
    const body = decodeBody(chunk);
    if (body === undefined) chunks.fail(new Error("A chunk is malformed"));
    else if (isLast) chunks.end(report);
    else chunks.push(body.body, () => report(undefined));
    chunks.onFailed(report);
  }

  #startImport(shard: ShardId, from: string): Chunks {
    this.#abandon(shard);
    const chunks = new Chunks();
    this.#imports.set(shard, chunks);
    this.#chain(shard, async () => {
      const context = { from, signal: chunks.signal };
      const error = await this.#attempt(() => this.#host.importState?.(shard, chunks, context));
      chunks.finished(error);
    });
    return chunks;
  }

  #abandon(shard: ShardId): void {
    this.#imports.get(shard)?.abandon();
    this.#imports.delete(shard);
    const exporting = this.#exports.get(shard);
    this.#exports.delete(shard);
    void this.#attempt(() => exporting?.chunks.return?.(undefined));
  }

  /** Runs after everything that was chained for the shard before, whatever became of that. */
  #chain(shard: ShardId, run: () => Promise<void>): void {
    const before = this.#chains.get(shard);
    const after = (before ?? Promise.resolve()).then(run).then(() => {
      if (this.#chains.get(shard) === after) this.#chains.delete(shard);
    });
    this.#chains.set(shard, after);
  }

  #controllerOf(shard: ShardId): AbortController {
    const known = this.#controllers.get(shard);
    if (known !== undefined) return known;
    const controller = new AbortController();
    this.#controllers.set(shard, controller);
    return controller;
  }

  #cancel(shard: ShardId, why: string): void {
    const controller = this.#controllers.get(shard);
    this.#controllers.delete(shard);
    controller?.abort(new Error(why));
  }

  /** What a user's code throws, as text; undefined when it does not. */
  async #attempt(run: () => unknown): Promise<string | undefined> {
    try {
      await undefined;
      await run();
      return undefined;
    } catch (error) {
      return textOf(error);
    }
  }
}

function textOf(error: unknown): string {
  const message = error instanceof Error ? String(error.message) : "";
  const text = message.slice(0, ERROR_LENGTH_MAX);
  return text !== "" && isWellFormed(text) ? text : "It failed without a message";
}
