import { expect, test } from "vitest";
import { decodeFrame, encodeFrame } from "../../src/wire/codec.ts";
import { Handshake, type HandshakeStep, type Identity } from "../../src/wire/handshake.ts";
import { pack } from "../../src/wire/msgpack.ts";
import { bytesOf, hex, SAMPLES } from "./messages.ts";

const ANNA: Identity = {
  versionLow: 1,
  versionHigh: 1,
  cluster: "hearsay",
  name: "anna",
  incarnation: "mhz0qk3c-Xu1pA3fLSGqk3nB0w3zR0Q-0",
  address: "10.0.0.1:7100",
  shardCount: 256,
  wallMs: 1_767_225_600_000,
  founding: undefined,
};

const BERT: Identity = {
  ...ANNA,
  name: "bert",
  incarnation: "mhz0qk40-Z2eYkS1oQ7a1cVb9xk0TnA-7",
  address: "10.0.0.2:7100",
  wallMs: 1_767_225_600_250,
  founding: { time: 258_000_000_000_000, writer: "mhz0qk40-Z2eYkS1oQ7a1cVb9xk0TnA-7" },
  era: {
    number: 3,
    stamp: { time: 258_000_000_000_000, writer: "w" },
    previous: { time: 257_998_926_249_984, writer: "v" },
  },
  isHosting: true,
  isAccompanied: true,
};

const nonceOf = (byte: number): Uint8Array => new Uint8Array(16).fill(byte);
const dialler = (identity = ANNA): Handshake => new Handshake("dialler", identity, nonceOf(1));
const acceptor = (identity = BERT): Handshake => new Handshake("acceptor", identity, nonceOf(2));

/** The frame that `step` answers with. */
function replyOf(step: HandshakeStep): Uint8Array {
  if (!("reply" in step) || step.reply === undefined) throw new Error(`${step.type} has no reply`);
  return step.reply;
}

function helloOf(identity: Identity): Uint8Array {
  const hello = new Handshake("dialler", identity, nonceOf(1)).start();
  if (hello === undefined) throw new Error("a dialler begins");
  return hello;
}

const welcomeOf = (identity: Identity): Uint8Array =>
  replyOf(new Handshake("acceptor", identity, nonceOf(2)).receive(helloOf(ANNA)));

/** How the other end sees `identity`, on a link that ANNA has dialled. */
const remoteOf = ({ name, incarnation, address, wallMs, founding, ...more }: Identity) => {
  const { era, isHosting = false, isAccompanied = false } = more;
  const dial = { wallMs: ANNA.wallMs, mark: 0x01010101 };
  return { name, incarnation, address, wallMs, founding, era, isHosting, isAccompanied, dial };
};

/** The elements of a good hello, to be spoilt. */
const HELLO: readonly unknown[] = [
  ...["hearsay", 0, 1, 1, "hearsay", "carl", "carl-1", "10.0.0.3:7100", 256, 1000, null, null, 0],
  nonceOf(3),
  [],
];

test("[S1] hello, welcome and proof open a link at both ends", () => {
  const anna = dialler();
  const bert = acceptor();
  expect(bert.start()).toBeUndefined();

  const hello = anna.start() as Uint8Array;
  const welcomed = bert.receive(hello);
  expect(welcomed.type).toBe("wait");

  const opened = anna.receive(replyOf(welcomed));
  expect(opened).toMatchObject({ type: "open", remote: remoteOf(BERT), version: 1 });

  expect(bert.receive(replyOf(opened))).toEqual({
    type: "open",
    remote: remoteOf(ANNA),
    version: 1,
  });
});

test("[S1] the frames of the handshake are those of protocol version 1", () => {
  const hello = helloOf(ANNA);
  const welcome = replyOf(acceptor().receive(hello));
  const anna = dialler();
  anna.start();
  const proof = replyOf(anna.receive(welcome));
  expect([hello, welcome, proof].map(hex)).toEqual([
    hex(
      bytesOf(
        "9f a7 68656172736179 00 01 01 a7 68656172736179 a4 616e6e61" +
          "d921 6d687a30716b33632d587531704133664c5347716b336e423077337a5230512d30" +
          "ad 31302e302e302e313a37313030 cd0100 cb4279b76daa800000 c0 c0 00" +
          "c410 01010101010101010101010101010101 90",
      ),
    ),
    hex(
      bytesOf(
        "dc0010 a7 68656172736179 01 01 01 a7 68656172736179 a4 62657274" +
          "d921 6d687a30716b34302d5a3265596b53316f5137613163566239786b30546e412d37" +
          "ad 31302e302e302e323a37313030 cd0100 cb4279b76daa8fa000" +
          "92 cb42ed54c9cb440000" +
          "d921 6d687a30716b34302d5a3265596b53316f5137613163566239786b30546e412d37" +
          "95 03 cb42ed54c9cb440000 a177 cb42ed54c1cb400000 a176 03" +
          "c410 02020202020202020202020202020202 90 c400",
      ),
    ),
    hex(bytesOf("93 a7 68656172736179 02 c400")),
  ]);
});

test("[S1] the highest version that both ends speak is spoken", () => {
  const newer = { ...ANNA, versionLow: 1, versionHigh: 7 };
  const bert = acceptor({ ...BERT, versionLow: 2, versionHigh: 5 });
  const anna = dialler(newer);
  const opened = anna.receive(replyOf(bert.receive(anna.start() as Uint8Array)));
  expect(opened).toMatchObject({ type: "open", version: 5 });
  expect(bert.receive(replyOf(opened))).toMatchObject({ type: "open", version: 5 });
});

test("[S1] fields that a later version appends are passed over", () => {
  expect(acceptor().receive(pack([...HELLO, "later", [1]]))).toMatchObject({ type: "wait" });
});

test("[S1] ends without a common version do not link, whatever else the other says", () => {
  expect(acceptor().receive(pack(["hearsay", 0, 2, 3, "in a form of its own"]))).toEqual({
    type: "refuse",
    code: "VERSION_MISMATCH",
    message: "Cannot link with versions 2 to 3: this peer speaks 1 to 1",
  });
  expect(dialler().receive(welcomeOf({ ...BERT, versionLow: 0, versionHigh: 1 }))).toMatchObject({
    type: "open",
  });
});

test("[S1] peers of two clusters do not link, and each end says why by name", () => {
  expect(acceptor().receive(helloOf({ ...ANNA, cluster: "b" }))).toEqual({
    type: "refuse",
    code: "CLUSTER_MISMATCH",
    message: 'Cannot link with cluster "b": this peer belongs to "hearsay"',
  });
  const stranger = acceptor({ ...BERT, cluster: "c" });
  const welcome = replyOf(stranger.receive(helloOf({ ...ANNA, cluster: "c" })));
  expect(dialler().receive(welcome)).toMatchObject({ code: "CLUSTER_MISMATCH" });
});

test("[S1] a refusal does not quote a cluster that is no name", () => {
  expect(acceptor().receive(helloOf({ ...ANNA, cluster: "<b>\n" }))).toEqual({
    type: "refuse",
    code: "CLUSTER_MISMATCH",
    message: 'Cannot link with another cluster: this peer belongs to "hearsay"',
  });
});

test("[R6] peers of unlike numbers of shards do not link", () => {
  expect(acceptor().receive(helloOf({ ...ANNA, shardCount: 128 }))).toEqual({
    type: "refuse",
    code: "CLUSTER_MISMATCH",
    message: "Cannot link with a peer of 128 shards: this peer has 256",
  });
});

test("[S1] a peer that dialled itself notices, also when its own hello is sent back", () => {
  const own = { type: "refuse", code: "SELF" };
  expect(acceptor(ANNA).receive(helloOf(ANNA))).toMatchObject(own);
  expect(acceptor({ ...ANNA, name: "clone" }).receive(helloOf(ANNA))).toMatchObject(own);
});

test("[S1] a peer that has a secret is told apart from a malformed one", () => {
  const proof = new Uint8Array(32);
  const welcome = pack([...HELLO.with(1, 1), proof]);
  expect(dialler().receive(welcome)).toMatchObject({ type: "refuse", code: "AUTH_FAILED" });
  const bert = acceptor();
  bert.receive(helloOf(ANNA));
  expect(bert.receive(pack(["hearsay", 2, proof]))).toMatchObject({ code: "AUTH_FAILED" });
});

test.each([
  ["no bytes", bytesOf("")],
  ["an HTTP request", new TextEncoder().encode("GET /peer HTTP/1.1\r\n\r\n")],
  ["another protocol's magic", pack(HELLO.with(0, "gossip"))],
  ["no magic", pack([])],
  ["no kind", pack(["hearsay"])],
  ["a kind that is none", pack(HELLO.with(1, 3))],
  ["a kind called length", pack(HELLO.with(1, "length"))],
  ["a map", bytesOf("81 a7 68656172736179 00")],
  ["bytes behind the end", Uint8Array.from([...pack(HELLO), 0])],
  ["no version", pack(["hearsay", 0])],
  ["a version of text", pack(HELLO.with(2, "1"))],
  ["a version of 2^32", pack(HELLO.with(3, 2 ** 32))],
  ["versions in the wrong order", pack(HELLO.with(2, 2))],
  ["a negative version", pack(HELLO.with(2, -1))],
  ["an empty cluster", pack(HELLO.with(4, ""))],
  ["a cluster whose name is too long", pack(HELLO.with(4, "c".repeat(65)))],
  ["a cluster of a number", pack(HELLO.with(4, 7))],
  ["an empty name", pack(HELLO.with(5, ""))],
  ["a name with a slash", pack(HELLO.with(5, "a/b"))],
  ["a name with a line break", pack(HELLO.with(5, "carl\n"))],
  ["a name that is too long", pack(HELLO.with(5, "c".repeat(65)))],
  ["the name __proto__", pack(HELLO.with(5, "__proto__"))],
  ["an empty incarnation", pack(HELLO.with(6, ""))],
  ["an incarnation that is too long", pack(HELLO.with(6, "i".repeat(97)))],
  ["an address without a port", pack(HELLO.with(7, "host"))],
  ["an address with a line break", pack(HELLO.with(7, "host:1\n"))],
  ["a number of shards above the limit", pack(HELLO.with(8, 65_537))],
  ["half a shard", pack(HELLO.with(8, 0.5))],
  ["a wall clock of text", pack(HELLO.with(9, "now"))],
  ["a negative wall clock", pack(HELLO.with(9, -1))],
  ["a founding that is no stamp", pack(HELLO.with(10, [1]))],
  ["a founding in the year 2^53", pack(HELLO.with(10, [2 ** 53, "w"]))],
  ["a founding by nobody", pack(HELLO.with(10, [1, ""]))],
  ["an era without the one before", pack(HELLO.with(11, [1, 5, "w"]))],
  ["an era of a negative number", pack(HELLO.with(11, [-1, 5, "w", 4, "w"]))],
  ["an era of a stamp that is none", pack(HELLO.with(11, [1, 5, "", 4, "w"]))],
  ["flags of text", pack(HELLO.with(12, "hosting"))],
  ["too many flags", pack(HELLO.with(12, 256))],
  ["no nonce", pack(HELLO.slice(0, -2))],
  ["no keys", pack(HELLO.slice(0, -1))],
  ["a short nonce", pack(HELLO.with(13, new Uint8Array(15)))],
  ["a long nonce", pack(HELLO.with(13, new Uint8Array(32)))],
  ["an empty nonce", pack(HELLO.with(13, new Uint8Array(0)))],
  ["a nonce of text", pack(HELLO.with(13, "0123456789abcdef"))],
  ["keys that are no list", pack(HELLO.with(14, 1))],
  ["a key without a name", pack(HELLO.with(14, [new Uint8Array(0)]))],
  ["a key with a long name", pack(HELLO.with(14, [new Uint8Array(16)]))],
  [
    "five keys",
    pack(
      HELLO.with(
        14,
        Array.from({ length: 5 }, () => new Uint8Array(8)),
      ),
    ),
  ],
])("[S1] a hello with %s is refused", (_, bytes) => {
  expect(acceptor().receive(bytes)).toMatchObject({ type: "refuse", code: "MALFORMED_FRAME" });
});

test("[S5] a wall clock that is not finite is refused", () => {
  const hello = pack(HELLO).slice();
  const infinity = bytesOf("cb 7f f0 00 00 00 00 00 00");
  const at = hex(hello).indexOf("cd03e8") / 2; // The wall clock, 1000.
  const bytes = [...hello.subarray(0, at), ...infinity, ...hello.subarray(at + 3)];
  expect(acceptor().receive(Uint8Array.from(bytes))).toMatchObject({ code: "MALFORMED_FRAME" });
});

const LARGEST = { time: Number.MAX_SAFE_INTEGER, writer: "€".repeat(96) };

test("[S4] a frame above the limit of a handshake is refused, and the largest hello is below it", () => {
  const large = pack([...HELLO, new Uint8Array(2048)]);
  expect(acceptor().receive(large)).toMatchObject({ type: "refuse", code: "FRAME_TOO_LARGE" });
  const largest: Identity = {
    ...ANNA,
    cluster: "€".repeat(64),
    incarnation: "€".repeat(96),
    address: `${"h".repeat(256)}:65535`,
    founding: LARGEST,
    era: { number: Number.MAX_SAFE_INTEGER, stamp: LARGEST, previous: LARGEST },
  };
  expect(acceptor({ ...BERT, cluster: "€".repeat(64) }).receive(helloOf(largest))).toMatchObject({
    type: "wait",
  });
});

/** Good frames of each kind, from somebody whom both ends would link with. */
const KINDS: Record<string, Uint8Array> = {
  hello: pack(HELLO).slice(),
  welcome: pack([...HELLO.with(1, 1), new Uint8Array(0)]).slice(),
  proof: pack(["hearsay", 2, new Uint8Array(0)]).slice(),
  message: encodeFrame([SAMPLES.done]).slice(),
};

test.each([
  ["acceptor", [], "hello"],
  ["dialler", [], "welcome"],
  ["acceptor", ["hello"], "proof"],
  ["dialler", ["welcome"], "nothing"],
  ["acceptor", ["hello", "proof"], "nothing"],
] as const)(
  "[S1] for the %s that has seen %j the only frame in its turn is %s",
  (role, seen, inTurn) => {
    for (const [kind, frame] of Object.entries(KINDS)) {
      const handshake = role === "dialler" ? dialler() : acceptor();
      for (const earlier of seen) {
        expect(handshake.receive(KINDS[earlier] as Uint8Array).type).not.toBe("refuse");
      }
      const step = handshake.receive(frame);
      if (kind === inTurn) expect(step.type).not.toBe("refuse");
      else expect(step).toMatchObject({ type: "refuse", code: "MALFORMED_FRAME" });
    }
  },
);

test("[S1] after a refusal nothing opens the link any more", () => {
  const bert = acceptor();
  bert.receive(helloOf({ ...ANNA, cluster: "b" }));
  for (const frame of Object.values(KINDS)) {
    expect(bert.receive(frame)).toMatchObject({ type: "refuse", code: "MALFORMED_FRAME" });
  }
});

test("[S1] a frame of the handshake is no frame of messages", () => {
  for (const kind of ["hello", "welcome", "proof"]) {
    expect(decodeFrame(KINDS[kind] as Uint8Array)).toMatchObject({ code: "MALFORMED_FRAME" });
  }
});

test("[S1] a nonce of another length than 16 is our bug", () => {
  expect(() => new Handshake("dialler", ANNA, new Uint8Array(8))).toThrow("a nonce has 16 bytes");
});
