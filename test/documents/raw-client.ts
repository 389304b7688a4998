/**
 * A client of a document that says whatever it is told to, for tests and benches.
 */
import { once } from "node:events";
import { createDecoder, readVarString, readVarUint, readVarUint8Array } from "lib0/decoding";
import { createEncoder, toUint8Array, writeVarUint, writeVarUint8Array } from "lib0/encoding";
import { WebSocket } from "ws";
import * as Y from "yjs";

/** A message of a raw client, as numbers and then bytes. */
export function say(type: number, ...rest: readonly (number | Uint8Array)[]): Uint8Array {
  const encoder = createEncoder();
  writeVarUint(encoder, type);
  for (const each of rest) {
    if (typeof each === "number") writeVarUint(encoder, each);
    else writeVarUint8Array(encoder, each);
  }
  return toUint8Array(encoder);
}

/** A client that says what it is told to. */
export class RawClient {
  static readonly #all = new Set<RawClient>();

  /** Cuts all connections. */
  static endAll(): void {
    for (const { socket } of RawClient.#all) socket.terminate();
    RawClient.#all.clear();
  }

  readonly socket: WebSocket;
  /** What it was told: `step-1`, `step-2`, `update`, `awareness`, or `denied: why`. */
  readonly told: string[] = [];
  readonly doc = new Y.Doc();
  closed: number | undefined;
  /** How many of its questions have been answered. */
  answers = 0;
  /** Called for each update, once it is applied. */
  onUpdate: () => void = () => {};

  constructor(address: string, name: string, headers: Record<string, string> = {}) {
    this.socket = new WebSocket(`ws://${address}/documents/${name}`, { headers });
    RawClient.#all.add(this);
    this.socket.on("error", () => {});
    this.socket.on("close", (code) => {
      this.closed = code;
    });
    this.socket.on("message", (bytes: Buffer) => this.#heard(bytes));
  }

  async open(): Promise<this> {
    if (this.socket.readyState !== WebSocket.OPEN) await once(this.socket, "open");
    return this;
  }

  send(bytes: Uint8Array): void {
    this.socket.send(bytes);
  }

  edit(update: Uint8Array): void {
    this.send(say(0, 2, update));
  }

  /** Asks what it lacks. */
  ask(): void {
    this.send(say(0, 0, Y.encodeStateVector(this.doc)));
  }

  #heard(bytes: Buffer): void {
    const decoder = createDecoder(bytes);
    const type = readVarUint(decoder);
    if (type === 0) {
      const step = readVarUint(decoder);
      this.told.push(["step-1", "step-2", "update"][step] ?? "nonsense");
      const content = readVarUint8Array(decoder);
      if (step === 1) this.answers += 1;
      if (step > 0) Y.applyUpdate(this.doc, content);
      if (step === 2) this.onUpdate();
    } else if (type === 1) this.told.push("awareness");
    else if (type === 2) {
      readVarUint(decoder);
      this.told.push(`denied: ${readVarString(decoder)}`);
    }
  }
}
