/**
 * Who is at a document, as its room has them: sockets, handles of this process, and the rooms of other peers.
 */

/** Who is at a document: a client of this peer, or the room of another one. */
export interface RoomClient {
  /** The room has the document; it may have been without for a while. */
  ready(): void;
  /** The document has changed; where several have changed it at once, this client may be among them. */
  updated(update: Uint8Array): void;
  awareness(update: Uint8Array): void;
  /** All edits of this client up to this number are durable. */
  acknowledged(edit: number): void;
  /** Something that this client has is missing here: it is to be sent. */
  resync(): void;
  /** It is out: an edit was not taken, and never will be. */
  rejected(reason: string): void;
  /** It is out: the document was deleted. */
  gone(): void;
  /** It is out: the document is hosted elsewhere. Only rooms of other peers are told. */
  moved?(): void;
}
