/**
 * `hearsay certs`: an authority of one's own, and certificates of peers, for trying TLS and for small clusters.
 *
 * The `openssl` of the machine makes them; nothing here does cryptography. The authority is made once and
 * then used again, so that further peers can be added and certificates renewed. Each file is made aside and
 * renamed, so a peer that looks meanwhile finds the old one or the new one.
 *
 * Deliberately absent: revoking, and protecting the authority's key by more than its file's mode. Whoever
 * needs these has an authority already, and gives its certificates the names that `io/tls.ts` asks for.
 */
import { execFile } from "node:child_process";
import { mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { isIP } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { HearsayError } from "../core/error.ts";
import { NAME_PATTERN, type PeerName } from "../core/units.ts";
import { makeFolder } from "../io/make-folder.ts";
import { peerUri } from "../io/tls.ts";
import { defineCommand } from "./command.ts";
import { wrongUsage } from "./failure.ts";
import { listOf } from "./output.ts";

/** How long an authority is good, in days: longer than whoever tries this will. */
const AUTHORITY_DAYS = 3650;

/** How long a certificate is good, in days. */
const CERTIFICATE_DAYS = 365;

/** Hosts that every certificate is good for, so that clients of the same machine need nothing else. */
const LOOPBACK = ["localhost", "127.0.0.1", "::1"];

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-sha256"];

const AUTHORITY = "ca.pem";
const AUTHORITY_KEY = "ca-key.pem";

export interface CertificateRequest {
  readonly cluster: string;
  readonly name: PeerName;
  /** Names and addresses by which clients reach the peer, besides those of its own machine. */
  readonly hosts?: readonly string[];
  /** Default a year. */
  readonly days?: number;
}

export const certs = defineCommand({
  usage: "certs <name...>",
  summary: "make certificates for peers of these names, and an authority for them if there is none",
  settings: ["out", "cluster", "hosts"],
  example: "hearsay certs orders-1 orders-2 --out certs --hosts orders.example",
  async run({ operands, settings: { out, cluster, hosts }, json, output }) {
    const wrong = operands.find((name) => !NAME_PATTERN.test(name));
    if (wrong !== undefined) throw wrongUsage(`Cannot make certificates: ${wrong} is no name`);
    await createAuthority(out, cluster);
    const made = [];
    for (const name of operands) {
      made.push({ name, ...(await createCertificate(out, { cluster, name, hosts })) });
    }
    const ca = join(out, AUTHORITY);
    const lines = made.map(({ name, cert }): [string, string] => [name, cert]);
    const text = json
      ? JSON.stringify({ ca, certificates: made })
      : listOf([["authority", ca], ...lines]).join("\n");
    output.out(`${text}\n`);
  },
});

/** Makes an authority in `folder`, unless there is one. */
export async function createAuthority(folder: string, cluster: string): Promise<void> {
  await makeFolder(folder, 0o700);
  if ((await readdir(folder)).includes(AUTHORITY_KEY)) return;
  await aside(folder, async (inside) => {
    await openssl([
      ...["req", "-x509", ...NEW_KEY, "-days", String(AUTHORITY_DAYS)],
      ...["-subj", `/CN=hearsay ${cluster}`, "-keyout", inside("key"), "-out", inside("cert")],
      ...["-addext", "keyUsage=critical,keyCertSign,cRLSign"],
    ]);
    await rename(inside("cert"), join(folder, AUTHORITY));
    await rename(inside("key"), join(folder, AUTHORITY_KEY)); // The last: now it is there.
  });
}

/** Makes a certificate and a key, by the authority in `folder`; returns where they are. */
export async function createCertificate(
  folder: string,
  { cluster, name, hosts = [], days = CERTIFICATE_DAYS }: CertificateRequest,
): Promise<{ readonly cert: string; readonly key: string }> {
  const [cert, key] = [join(folder, `${name}.pem`), join(folder, `${name}-key.pem`)];
  const names = [...LOOPBACK, ...hosts].map((host) => `${isIP(host) ? "IP" : "DNS"}:${host}`);
  const extensions = [
    "basicConstraints=critical,CA:FALSE",
    "keyUsage=critical,digitalSignature",
    "extendedKeyUsage=serverAuth,clientAuth",
    `subjectAltName=URI:${peerUri(cluster, name)},${names.join(",")}`,
  ];
  await aside(folder, async (inside) => {
    await writeFile(inside("extensions"), extensions.join("\n"));
    await openssl([
      ...["req", "-new", ...NEW_KEY, "-subj", `/CN=${name}`],
      ...["-keyout", inside("key"), "-out", inside("request")],
    ]);
    await openssl([
      ...["x509", "-req", "-in", inside("request"), "-out", inside("cert")],
      ...["-CA", join(folder, AUTHORITY), "-CAkey", join(folder, AUTHORITY_KEY), "-CAcreateserial"],
      ...["-CAserial", inside("serial"), "-days", String(days), "-sha256"],
      ...["-extfile", inside("extensions")],
    ]);
    await rename(inside("key"), key);
    await rename(inside("cert"), cert);
  });
  return { cert, key };
}

/** Runs `act` with a folder for what is not finished, which is gone afterwards. */
async function aside(
  folder: string,
  act: (inside: (file: string) => string) => Promise<void>,
): Promise<void> {
  const workshop = await mkdtemp(join(folder, "making-"));
  try {
    await act((file) => join(workshop, file));
  } finally {
    await rm(workshop, { recursive: true, force: true });
  }
}

async function openssl(args: readonly string[]): Promise<void> {
  try {
    await promisify(execFile)("openssl", args);
  } catch (error) {
    const { code, stderr = "" } = error as { code?: unknown; stderr?: string };
    const [said = "it failed"] = stderr.trim().split("\n").slice(-1);
    const why = code === "ENOENT" ? "openssl is not installed" : `openssl says: ${said}`;
    throw new HearsayError("BAD_REQUEST", `Cannot make certificates: ${why}`, { cause: error });
  }
}
