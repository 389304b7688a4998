/**
 * A text of Yjs in a textarea, with the carets of others behind it.
 *
 * What is typed becomes the shortest replacement of the text; what others change leaves the selection where it
 * was in the text. While a word is being composed by an input method nothing is put in from outside.
 */
import {
  createAbsolutePositionFromRelativePosition,
  createRelativePositionFromJSON,
  createRelativePositionFromTypeIndex,
  type Doc,
  type RelativePosition,
  type Text,
  UndoManager,
} from "yjs";
import { changeBetween } from "./change.ts";
import type { Guest } from "./presence.ts";

/** What was done here, and can be undone here. */
const OWN = Symbol("own");

export interface EditorOptions {
  readonly doc: Doc;
  readonly area: HTMLTextAreaElement;
  /** Lies behind the area, and has the same measures. */
  readonly carets: HTMLElement;
  /** Where this one is now, as JSON. */
  readonly moved: (head: unknown) => void;
}

export class Editor {
  readonly #options: EditorOptions;
  readonly #text: Text;
  readonly #undo: UndoManager;
  #guests: readonly Guest[] = [];
  /** The text as the area shows it. */
  #shown = "";
  #start: RelativePosition;
  #end: RelativePosition;

  constructor(options: EditorOptions) {
    this.#options = options;
    this.#text = options.doc.getText("text");
    this.#undo = new UndoManager(this.#text, { trackedOrigins: new Set([OWN]) });
    this.#start = this.#end = createRelativePositionFromTypeIndex(this.#text, 0);
    const { area } = options;
    this.#text.observe((_event, { origin }) => {
      if (origin !== OWN) this.#show();
      else this.#draw();
    });
    area.addEventListener("input", (event) => {
      if (!(event as InputEvent).isComposing) this.#typed();
    });
    area.addEventListener("compositionend", () => this.#typed());
    area.addEventListener("keydown", (event) => this.#pressed(event));
    area.addEventListener("scroll", () => this.#align());
    document.addEventListener("selectionchange", () => {
      if (document.activeElement === area) this.#selected();
    });
  }

  /** Whose carets to show. */
  show(guests: readonly Guest[]): void {
    this.#guests = guests;
    this.#draw();
  }

  #typed(): void {
    const { area, doc } = this.#options;
    const change = changeBetween(this.#shown, area.value, area.selectionEnd);
    this.#shown = area.value;
    if (change !== undefined) {
      const { at, removed, inserted } = change;
      doc.transact(() => {
        this.#text.delete(at, removed);
        this.#text.insert(at, inserted);
      }, OWN);
    }
    this.#selected();
    if (this.#text.toString() !== this.#shown) this.#show(); // What came while a word was composed.
  }

  #selected(): void {
    const { area, moved } = this.#options;
    this.#start = createRelativePositionFromTypeIndex(this.#text, area.selectionStart);
    this.#end = createRelativePositionFromTypeIndex(this.#text, area.selectionEnd);
    moved(this.#end);
  }

  #show(): void {
    const { area } = this.#options;
    const text = this.#text.toString();
    if (area.value !== this.#shown) return; // It is being composed.
    this.#shown = text;
    const { scrollTop } = area;
    const isHere = document.activeElement === area;
    area.value = text;
    if (isHere) area.setSelectionRange(this.#indexOf(this.#start), this.#indexOf(this.#end));
    area.scrollTop = scrollTop;
    this.#draw();
  }

  #pressed(event: KeyboardEvent): void {
    if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
    const key = event.key.toLowerCase();
    const isRedo = key === "y" || (key === "z" && event.shiftKey);
    if (key !== "z" && !isRedo) return;
    event.preventDefault();
    if (isRedo) this.#undo.redo();
    else this.#undo.undo();
  }

  #draw(): void {
    const { carets } = this.#options;
    const marks = this.#guests
      .flatMap((guest) => {
        const at = this.#placeOf(guest.head);
        return at === undefined ? [] : [{ guest, at }];
      })
      .sort((a, b) => a.at - b.at);
    const pieces: (string | Node)[] = [];
    let from = 0;
    for (const { guest, at } of marks) {
      const caret = document.createElement("span");
      caret.className = "caret";
      caret.dataset.name = guest.name;
      caret.style.setProperty("--hue", hueOf(guest.client));
      pieces.push(this.#shown.slice(from, at), caret);
      from = at;
    }
    pieces.push(`${this.#shown.slice(from)}\n`);
    carets.replaceChildren(...pieces);
    this.#align();
  }

  #align(): void {
    const { area, carets } = this.#options;
    carets.scrollTop = area.scrollTop;
  }

  #indexOf(position: RelativePosition): number {
    return createAbsolutePositionFromRelativePosition(position, this.#options.doc)?.index ?? 0;
  }

  /** Where somebody says to be; undefined where that is no place of this text. */
  #placeOf(head: unknown): number | undefined {
    try {
      const position = createRelativePositionFromJSON(head);
      const place = createAbsolutePositionFromRelativePosition(position, this.#options.doc);
      return place?.type === this.#text ? Math.min(place.index, this.#shown.length) : undefined;
    } catch {
      return undefined;
    }
  }
}

/** The colour of a client, for light and dark grounds. */
export function hueOf(client: number): string {
  const hue = Math.round((client * 137.508) % 360);
  return `light-dark(hsl(${hue} 65% 38%), hsl(${hue} 75% 72%))`;
}
