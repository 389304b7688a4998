/**
 * The bus that needs nothing else: messages of live queries as posts over the links between peers.
 *
 * Rules: SPEC.md, N1 to N3 and V14.
 */
import type { PeerName } from "../../core/units.ts";
import type { Service, ServicePort, Services } from "../../io/services.ts";
import type { BusListener, LiveBus } from "../bus.ts";
import type { Answer, Control } from "../message.ts";
import { encodeMessages, tellMessages } from "./bus-bytes.ts";

export class LinkBus implements LiveBus, Service {
  readonly #port: ServicePort;
  readonly #listener: BusListener;
  readonly #needed = new Set<PeerName>();

  constructor(services: Services, listener: BusListener) {
    this.#listener = listener;
    this.#port = services.register("live-bus", this);
  }

  canSend(to: PeerName): boolean {
    return this.#port.canPost(to);
  }

  sendControl(region: PeerName, controls: readonly Control[]): boolean {
    return this.#post(region, controls);
  }

  sendDeltas(gateway: PeerName, answers: readonly Answer[]): boolean {
    return this.#post(gateway, answers);
  }

  /** [N3] Links to the regions that are followed are kept, and no others. */
  need(regions: ReadonlySet<PeerName>): void {
    for (const region of regions) {
      if (this.#needed.has(region)) continue;
      this.#needed.add(region);
      this.#port.need(region);
    }
    for (const region of this.#needed) {
      if (regions.has(region)) continue;
      this.#needed.delete(region);
      this.#port.release(region);
    }
  }

  reset(): void {
    this.#needed.clear();
  }

  close(): void {}

  // What a service is told.

  onPost(from: PeerName, bytes: Uint8Array): void {
    tellMessages(this.#listener, from, bytes);
  }

  onOpen(peer: PeerName): void {
    this.#listener.opened(peer);
  }

  onLost(peer: PeerName): void {
    this.#listener.lost(peer);
  }

  #post(to: PeerName, messages: readonly (Control | Answer)[]): boolean {
    const bytes = encodeMessages(messages);
    return bytes !== undefined && this.#port.post(to, bytes);
  }
}
