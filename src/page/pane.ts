/**
 * One side of the page: the document as one peer has it, for somebody who types here.
 *
 * It stays at its peer while that answers. When it does not, the pane moves on to another one by itself, and
 * says so; it does not move back.
 */
import { Doc } from "yjs";
import { Connection, type ConnectionState } from "./connection.ts";
import { Editor, hueOf } from "./editor.ts";
import { isThere, nextPeer, type PeerRow } from "./peers.ts";
import { type Guest, Presence } from "./presence.ts";

/** How often others are told where the caret is, in ms. */
const MOVED_MS = 60;

export interface PaneOptions {
  readonly label: string;
  /** Who types here, as others see it. */
  readonly name: string;
  readonly peers: () => readonly PeerRow[];
  /** Peers that other panes are at. */
  readonly used: (by: Pane) => ReadonlySet<string>;
  readonly open: (peer: PeerRow) => WebSocket;
}

export class Pane {
  readonly element: HTMLElement;
  readonly #options: PaneOptions;
  readonly #select: HTMLSelectElement;
  readonly #connection: Connection;
  /** The peer that it is at, or was last, or that somebody has chosen. */
  #wished: string;
  #said = "";

  constructor(template: HTMLTemplateElement, wished: string, options: PaneOptions) {
    this.#options = options;
    this.#wished = wished;
    this.element = (template.content.cloneNode(true) as DocumentFragment)
      .firstElementChild as HTMLElement;
    this.element.setAttribute("aria-label", options.label);
    this.#select = this.#part("select");
    const doc = new Doc();
    const presence = new Presence(doc.clientID);
    const area = this.#part<HTMLTextAreaElement>("textarea");
    area.setAttribute("aria-label", `The document, ${options.label.toLowerCase()}`);
    let head: unknown = null;
    let isTelling = false;
    const editor = new Editor({
      ...{ doc, area, carets: this.#part(".carets") },
      moved: (moved) => {
        head = moved;
        if (isTelling) return;
        isTelling = true;
        setTimeout(() => {
          isTelling = false;
          this.#connection.aware(presence.say(options.name, head));
        }, MOVED_MS);
      },
    });
    presence.say(options.name, null);
    this.#connection = new Connection({
      ...{ doc, presence, open: options.open },
      next: (tried) => nextPeer(options.peers(), this.#wished, tried, options.used(this)),
      changed: (state) => this.#changed(state),
      guestsChanged: () => {
        editor.show(presence.guests);
        this.#showGuests(presence.guests);
      },
      denied: (reason) => this.#say(`An edit was refused: ${reason}.`),
    });
    this.#select.addEventListener("change", () => this.#choose());
    this.showPeers();
    this.#connection.move();
  }

  /** The peer that it is at, or tries. */
  get peer(): string | undefined {
    return this.#connection.peer?.name;
  }

  /** The peers have changed, or who hosts the document. */
  showPeers(owner?: string): void {
    const options = this.#options.peers().map((peer) => {
      const { name, status } = peer;
      const option = document.createElement("option");
      option.value = name;
      option.textContent = [
        name,
        ...(isThere(peer) ? [] : [`(${status})`]),
        ...(name === owner ? ["- hosts it"] : []),
      ].join(" ");
      option.disabled = !isThere(peer) && name !== this.#wished;
      return option;
    });
    this.#select.replaceChildren(...options);
    this.#select.value = this.#wished;
  }

  #choose(): void {
    this.#wished = this.#select.value;
    this.#say("");
    this.#connection.move();
  }

  #changed(state: ConnectionState): void {
    this.element.dataset.state = state.type;
    this.#part(".word").textContent = wordOf(state);
    if (state.type === "over") this.#say(`${state.reason}. Reload the page to begin anew.`);
    if (state.type !== "synced") return;
    if (state.peer !== this.#wished) {
      this.#say(`${this.#wished} does not answer: moved on to ${state.peer}.`);
    }
    this.#wished = state.peer;
    this.element.dataset.peer = state.peer;
    this.#select.value = state.peer;
  }

  #showGuests(guests: readonly Guest[]): void {
    const chips = guests.map(({ client, name }) => {
      const chip = document.createElement("li");
      chip.className = "chip";
      chip.textContent = name;
      chip.style.setProperty("--hue", hueOf(client));
      return chip;
    });
    this.#part(".present").replaceChildren(...chips);
  }

  /** Says it once: a screen reader repeats what is written again. */
  #say(text: string): void {
    if (text === this.#said) return;
    this.#said = text;
    this.#part(".said").textContent = text;
  }

  #part<Kind extends HTMLElement>(selector: string): Kind {
    return this.element.querySelector(selector) as Kind;
  }
}

function wordOf(state: ConnectionState): string {
  switch (state.type) {
    case "connecting":
      return "connecting";
    case "alone":
      return "no peer answers";
    case "over":
      return "closed";
    case "synced":
      return state.isSafe ? "all edits stored" : "storing";
  }
}
