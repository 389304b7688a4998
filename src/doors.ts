/**
 * What lets others in at the port of a peer: secrets and certificates for peers, tokens for clients.
 *
 * Rules: SPEC.md, S1, S2, S6 and S7.
 */
import { ClientAccess } from "./io/client-access.ts";
import { SYSTEM_CLOCK } from "./io/clock.ts";
import { LiveKeys } from "./io/key-ring.ts";
import { Credentials } from "./io/tls.ts";
import type { PeerSettings } from "./peer-options.ts";

export class Doors {
  readonly keys: LiveKeys;
  /** Undefined where nothing is encrypted. */
  readonly credentials: Credentials | undefined;
  readonly access: ClientAccess;

  /** `onProblem` hears of files that cannot be used any more. Throws a TypeError when none can be. */
  constructor(settings: PeerSettings, onProblem: (message: string) => void) {
    const { secret, tls, tokens } = settings;
    const now = (): number => SYSTEM_CLOCK.now();
    this.keys = new LiveKeys(secret, onProblem);
    this.credentials = tls && new Credentials(tls, settings, now, onProblem);
    this.access = new ClientAccess({
      tokens,
      isClosed: secret !== undefined || tls !== undefined,
      now,
    });
  }
}
