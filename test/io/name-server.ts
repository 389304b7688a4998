/**
 * A name server over UDP, as small as it can be: one question, one answer, records that a test sets.
 *
 * Source: RFC 1035, section 4, and RFC 2782 for SRV.
 */
import { createSocket, type Socket } from "node:dgram";
import type { AddressInfo } from "node:net";

const TYPES = { A: 1, AAAA: 28, SRV: 33 } as const;
type RecordType = keyof typeof TYPES;

const FLAGS_ANSWER = 0x8180;
const NAME_UNKNOWN = 3;
const HEADER_BYTES = 12;

export class NameServer {
  /** Records by `TYPE name`: addresses, or `target:port` for SRV. May be changed at any time. */
  readonly records = new Map<string, readonly string[]>();
  /** What was asked, in order. */
  readonly asked: string[] = [];
  readonly #socket: Socket = createSocket("udp4");

  async start(): Promise<string> {
    this.#socket.on("message", (query, { address, port }) => {
      this.#socket.send(this.#answer(query), port, address);
    });
    await new Promise<void>((resolve) => this.#socket.bind(0, "127.0.0.1", resolve));
    return `127.0.0.1:${(this.#socket.address() as AddressInfo).port}`;
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()));
  }

  #answer(query: Buffer): Buffer {
    const labels: string[] = [];
    let offset = HEADER_BYTES;
    for (let length = query[offset] ?? 0; length > 0; length = query[offset] ?? 0) {
      labels.push(query.toString("latin1", offset + 1, offset + 1 + length));
      offset += 1 + length;
    }
    const number = query.readUInt16BE(offset + 1);
    const type = (Object.keys(TYPES) as RecordType[]).find((each) => TYPES[each] === number);
    const name = labels.join(".").toLowerCase();
    this.asked.push(`${type} ${name}`);
    const isKnown = [...this.records.keys()].some((key) => key.endsWith(` ${name}`));
    const found = type === undefined ? [] : (this.records.get(`${type} ${name}`) ?? []);
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt16BE(query.readUInt16BE(0), 0);
    header.writeUInt16BE(FLAGS_ANSWER | (isKnown ? 0 : NAME_UNKNOWN), 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(found.length, 6);
    const question = query.subarray(HEADER_BYTES, offset + 5);
    const records = found.map((value) => record(number, dataOf(type as RecordType, value)));
    return Buffer.concat([header, question, ...records]);
  }
}

/** Its name is that of the question, which stands right behind the header. */
function record(type: number, data: Buffer): Buffer {
  const fixed = Buffer.alloc(12);
  fixed.writeUInt16BE(0xc000 | HEADER_BYTES, 0);
  fixed.writeUInt16BE(type, 2);
  fixed.writeUInt16BE(1, 4);
  fixed.writeUInt16BE(data.length, 10);
  return Buffer.concat([fixed, data]);
}

function dataOf(type: RecordType, value: string): Buffer {
  if (type === "A") return Buffer.from(value.split(".").map(Number));
  if (type === "AAAA") {
    return Buffer.from(
      value.split(":").flatMap((word) => [Number(`0x${word}`) >> 8, Number(`0x${word}`) & 255]),
    );
  }
  const [target = "", port] = value.split(":");
  const labels = target
    .split(".")
    .map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`, "latin1"));
  const fixed = Buffer.alloc(6);
  fixed.writeUInt16BE(Number(port), 4);
  return Buffer.concat([fixed, ...labels, Buffer.from([0])]);
}
