/**
 * The end of a turn of a simulated process, as `src/io/turn.ts` has it of a real one.
 */
import type { SimulatedPeer } from "./peer.ts";
import type { World } from "./world.ts";

/** Returns a function that has `run` called once, soon, in the same life of the peer, however often it is called. */
export function oncePerTurn(world: World, peer: SimulatedPeer, run: () => void): () => void {
  let dueIn: number | undefined;
  return () => {
    const { lives } = peer;
    if (dueIn === lives) return;
    dueIn = lives;
    world.plan(0, () => {
      if (peer.lives !== lives) return;
      peer.run(() => {
        dueIn = undefined;
        if (peer.machine !== undefined) run();
      });
    });
  };
}
