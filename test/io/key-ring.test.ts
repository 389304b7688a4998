import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";
import { keyRing, problemOfSecrets, type Secrets } from "../../src/io/key-ring.ts";
import { SecretFile } from "../../src/io/secret-file.ts";
import { Handshake, type HandshakeStep, type Identity } from "../../src/wire/handshake.ts";

const OLD = "an old secret that all peers know";
const NEW = "a new secret that all will know";
const THIRD = "a secret of another cluster";

const identityOf = (name: string): Identity => ({
  ...{ versionLow: 1, versionHigh: 1, cluster: "hearsay", name, incarnation: `m1-${name}` },
  ...{ address: `10.0.0.1:7100`, shardCount: 256, wallMs: 1000, founding: undefined },
});

interface End {
  readonly identity?: Identity;
  readonly secrets?: Secrets | undefined;
  readonly nonce?: number;
}

function handshakeOf(role: "dialler" | "acceptor", end: End): Handshake {
  const { identity = identityOf(role), secrets, nonce = role === "dialler" ? 1 : 2 } = end;
  return new Handshake(role, identity, new Uint8Array(16).fill(nonce), keyRing(secrets));
}

const replyOf = (step: HandshakeStep): Uint8Array | undefined =>
  "reply" in step ? step.reply : undefined;

/** Shakes hands through `alter`, which may change each frame; returns the last step of each end. */
function shake(
  dialler: Handshake,
  acceptor: Handshake,
  alter: (frame: Uint8Array, turn: number) => Uint8Array = (frame) => frame,
): HandshakeStep[] {
  const hello = dialler.start() as Uint8Array;
  const welcomed = acceptor.receive(alter(hello.slice(), 0));
  const welcome = replyOf(welcomed);
  if (welcome === undefined) return [welcomed];
  const greeted = dialler.receive(alter(welcome.slice(), 1));
  const proof = replyOf(greeted);
  return proof === undefined ? [greeted] : [greeted, acceptor.receive(alter(proof.slice(), 2))];
}

const between = (dialler: End, acceptor: End): string => {
  const steps = shake(handshakeOf("dialler", dialler), handshakeOf("acceptor", acceptor));
  const refused = steps.find((step) => step.type === "refuse");
  return refused?.type === "refuse" ? refused.code : steps.map(({ type }) => type).join(" ");
};

test("[S1] two peers with one secret in common link, in every phase of a rotation", () => {
  const phases: (Secrets | undefined)[] = [OLD, [OLD, NEW], [NEW, OLD], NEW];
  phases.forEach((mine, phase) => {
    for (const theirs of [phases[phase], phases[phase + 1] ?? mine]) {
      expect(between({ secrets: mine }, { secrets: theirs })).toBe("open open");
      expect(between({ secrets: theirs }, { secrets: mine })).toBe("open open");
    }
  });
});

test("[S1] without a secret in common nobody links, whoever has one", () => {
  for (const [mine, theirs] of [
    [OLD, undefined],
    [undefined, OLD],
    [OLD, NEW],
    [[OLD, NEW], THIRD],
  ] as const) {
    expect(between({ secrets: mine }, { secrets: theirs })).toBe("AUTH_FAILED");
  }
});

test("[S1] a proof of somebody who does not know the secret is refused, whatever it claims", () => {
  // An end that knows the names of keys from a capture, and not the keys.
  const { ids } = keyRing(OLD);
  for (const forged of [new Uint8Array(32), new Uint8Array(31), new Uint8Array(0)]) {
    const ring = { ids, prove: () => forged, accepts: () => true };
    const stranger = (role: "dialler" | "acceptor"): Handshake =>
      new Handshake(role, identityOf("stranger"), new Uint8Array(16).fill(3), ring);
    const last = (steps: HandshakeStep[]): HandshakeStep | undefined => steps.at(-1);
    const accepted = shake(stranger("dialler"), handshakeOf("acceptor", { secrets: OLD }));
    expect(last(accepted)).toMatchObject({ type: "refuse", code: "AUTH_FAILED" });
    const dialled = shake(handshakeOf("dialler", { secrets: OLD }), stranger("acceptor"));
    expect(last(dialled)).toMatchObject({ type: "refuse", code: "AUTH_FAILED" });
  }
});

test("[S1] a proof is good for one handshake of one pair, and not when it is sent back", () => {
  const frames: Uint8Array[] = [];
  const anna = { identity: identityOf("anna"), secrets: OLD };
  const bert = { identity: identityOf("bert"), secrets: OLD };
  shake(handshakeOf("dialler", anna), handshakeOf("acceptor", bert), (frame) => {
    frames.push(frame);
    return frame;
  });
  const [hello, welcome, proof] = frames as [Uint8Array, Uint8Array, Uint8Array];
  // Replayed to an acceptor that has drawn another nonce.
  const again = handshakeOf("acceptor", { ...bert, nonce: 9 });
  again.receive(hello);
  expect(again.receive(proof)).toMatchObject({ type: "refuse", code: "AUTH_FAILED" });
  // Replayed to a dialler that has drawn another nonce.
  const redial = handshakeOf("dialler", { ...anna, nonce: 9 });
  redial.start();
  expect(redial.receive(welcome)).toMatchObject({ type: "refuse", code: "AUTH_FAILED" });
});

test("[S1] whatever of a name, an address or a proof is changed on the way, the link does not open", () => {
  const change = fc.record({
    turn: fc.nat({ max: 2 }),
    at: fc.nat({ max: 400 }),
    by: fc.integer({ min: 1, max: 255 }),
  });
  const covered = ["cluster", "dialler", "acceptor", "10.0.0.1:7100", "m1-"];
  fc.assert(
    fc.property(change, ({ turn, at, by }) => {
      let isCovered = false;
      const steps = shake(
        handshakeOf("dialler", { secrets: OLD }),
        handshakeOf("acceptor", { secrets: OLD }),
        (frame, now) => {
          if (now !== turn || at >= frame.length) return frame;
          const text = Buffer.from(frame).toString("latin1");
          const isIn = (part: string): boolean => {
            const start = text.indexOf(part);
            return start >= 0 && at >= start && at < start + part.length;
          };
          isCovered = covered.some(isIn) || (turn > 0 && at >= frame.length - 32);
          frame[at] = (frame[at] as number) ^ by;
          return frame;
        },
      );
      if (isCovered) expect(steps.every(({ type }) => type === "open")).toBe(false);
    }),
    { numRuns: 500 },
  );
});

test("secrets that are too short, too many, or no text are refused", () => {
  expect(problemOfSecrets(OLD)).toBeUndefined();
  expect(problemOfSecrets([OLD, NEW])).toBeUndefined();
  for (const bad of ["short", "", [], [OLD, 7], null, [OLD, NEW, THIRD, OLD, NEW]]) {
    expect(problemOfSecrets(bad)).toBeDefined();
  }
  expect(problemOfSecrets("\ud800".repeat(16))).toBeDefined();
});

async function fileWith(text: string, mode = 0o600): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "hearsay-secret-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const path = join(directory, "secret");
  await writeFile(path, text, { mode });
  return path;
}

test("a file of secrets is read anew when it has changed, and comments are left out", async () => {
  const path = await fileWith(`# of the staging cluster\n\n ${OLD} \n`);
  const file = new SecretFile(path);
  expect(file.lines()).toEqual([OLD]);
  await writeFile(path, `${NEW}\n${OLD}\n`);
  expect(file.lines()).toEqual([NEW, OLD]);
});

test("a file that others may read, a missing one and a folder are refused by name", async () => {
  const path = await fileWith(OLD);
  await chmod(path, 0o640);
  expect(() => new SecretFile(path).lines()).toThrow("others may read it");
  expect(() => new SecretFile(`${path}-2`).lines()).toThrow("ENOENT");
  await chmod(path, 0o600);
  expect(() => new SecretFile(join(path, "..")).lines()).toThrow(/no file|others may read it/);
});
