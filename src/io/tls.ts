/**
 * Certificates of a peer: read from files, anew when these have changed, and what those of others say.
 *
 * A peer has a certificate whose subject alternative name is `hearsay://<cluster>/<name>`. Both ends of a
 * link show one of the same authority, and may then be called what it says and nothing else [S7]. Hosts are not
 * looked at between peers: addresses change, and a peer that could be named by its address could be
 * anybody who has it next. Clients do look at hosts, as every client of HTTPS does.
 *
 * Files are looked at when a link is about to be made, so a certificate that was replaced counts for the
 * next link, and links that stand are left alone. While new files cannot be used, because one of them is
 * still to come, the ones before stay in force.
 *
 * Deliberately absent: cryptography, lists of what is revoked (replace the authority), other versions than
 * TLS 1.3, and sessions that are resumed: they would carry a certificate past its end.
 *
 * Rules: SPEC.md, S3 and S7.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Duplex } from "node:stream";
import { createSecureContext, type SecureContext, TLSSocket } from "node:tls";
import type { PeerName } from "../core/units.ts";
import { SecretFile } from "./secret-file.ts";

/** Files of a peer, in PEM. */
export interface TlsFiles {
  /** The certificate of this peer, and what stands between it and the authority. */
  readonly cert: string;
  /** Its private key: readable by its owner only. */
  readonly key: string;
  /** The authorities that peers' certificates must come from. */
  readonly ca: string;
}

/** [S3] The only version that is spoken. */
export const TLS_VERSION = { minVersion: "TLSv1.3", maxVersion: "TLSv1.3" } as const;

/** What `createSecureContext` and `https.createServer` take. */
export type TlsContents = { readonly [File in keyof TlsFiles]: string } & typeof TLS_VERSION;

/** How long what was read is taken to be what the files hold, in ms. */
const LOOK_INTERVAL_MS = 1000;

/** What certificates call a peer. */
export function peerUri(cluster: string, name: PeerName): string {
  return `hearsay://${cluster}/${name}`;
}

/** The certificate of a peer that may be replaced while it runs. */
export class Credentials {
  readonly #files: { readonly [File in keyof TlsFiles]: SecretFile };
  readonly #uri: string;
  readonly #onProblem: (message: string) => void;
  readonly #now: () => number;
  #contents: TlsContents;
  #context: SecureContext;
  #lookedAt: number;
  #problem = "";

  /** `now` is monotonic, in ms. Throws a TypeError when the files cannot be used for this peer. */
  constructor(
    { cert, key, ca }: TlsFiles,
    { cluster, name }: { readonly cluster: string; readonly name: PeerName },
    now: () => number,
    onProblem: (message: string) => void = () => {},
  ) {
    this.#files = {
      cert: new SecretFile(cert, "open"),
      key: new SecretFile(key),
      ca: new SecretFile(ca, "open"),
    };
    this.#uri = peerUri(cluster, name);
    this.#onProblem = onProblem;
    this.#now = now;
    this.#contents = this.#read();
    this.#context = this.#use(this.#contents);
    this.#lookedAt = now();
  }

  /** The contents of the files: the same object for as long as they are the same. */
  get contents(): TlsContents {
    this.#look();
    return this.#contents;
  }

  /** The same for dialling. */
  get context(): SecureContext {
    this.#look();
    return this.#context;
  }

  #look(): void {
    const now = this.#now();
    if (now - this.#lookedAt < LOOK_INTERVAL_MS) return;
    this.#lookedAt = now;
    try {
      const contents = this.#read();
      const { cert, key, ca } = this.#contents;
      if (contents.cert === cert && contents.key === key && contents.ca === ca) return;
      this.#context = this.#use(contents);
      this.#contents = contents;
      this.#problem = "";
    } catch (error) {
      const message = error instanceof Error ? error.message : "Cannot read certificates";
      if (message !== this.#problem) this.#onProblem(message); // Once, and not for each link.
      this.#problem = message;
    }
  }

  #read(): TlsContents {
    const { cert, key, ca } = this.#files;
    return { cert: cert.text(), key: key.text(), ca: ca.text(), ...TLS_VERSION };
  }

  /** Checks what would otherwise be found out by every other peer. */
  #use(contents: TlsContents): SecureContext {
    const { cert: file, key: keyFile, ca } = this.#files;
    const wrong = (path: string, problem: string, cause?: unknown): TypeError =>
      new TypeError(`Cannot use ${path}: ${problem}`, { cause });
    const certificate = attempt(
      () => new X509Certificate(contents.cert),
      (error) => wrong(file.path, "it holds no certificate in PEM", error),
    );
    const key = attempt(
      () => createPrivateKey(contents.key),
      (error) => wrong(keyFile.path, "it holds no private key in PEM", error),
    );
    attempt(
      () => new X509Certificate(contents.ca),
      (error) => wrong(ca.path, "it holds no certificate in PEM", error),
    );
    if (!urisIn(certificate.subjectAltName).includes(this.#uri)) {
      throw wrong(file.path, `it is not the certificate of ${this.#uri}`);
    }
    if (!certificate.checkPrivateKey(key)) {
      throw wrong(keyFile.path, `it is not the key of ${file.path}`);
    }
    if (Date.parse(certificate.validTo) < Date.now()) {
      throw wrong(file.path, `it was good until ${certificate.validTo}`);
    }
    return attempt(
      () => createSecureContext(contents),
      (error) => wrong(file.path, error instanceof Error ? error.message : "it failed", error),
    );
  }
}

/**
 * [S7] The names in `cluster` that the other end of a socket has proved to have: none without a certificate
 * that comes from our authorities, and holds now.
 */
export function certifiedNames(socket: Duplex | undefined, cluster: string): ReadonlySet<PeerName> {
  const names = new Set<PeerName>();
  if (!(socket instanceof TLSSocket) || !socket.authorized || socket.isSessionReused())
    return names;
  const start = peerUri(cluster, "");
  for (const uri of urisIn(socket.getPeerCertificate().subjectaltname)) {
    if (uri.startsWith(start)) names.add(uri.slice(start.length));
  }
  return names;
}

/** Whether a dial has failed by what one end thinks of the other's certificate or version. */
export function isTlsRefusal(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return TLS_REFUSAL.test(code);
}

/** The codes of OpenSSL for certificates, and those of Node for everything else about TLS. */
const TLS_REFUSAL =
  /^(?:ERR_SSL_|ERR_TLS_|EPROTO$|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|INVALID_|PATH_LENGTH_|HOSTNAME_)/;

/** The URIs among `DNS:a.example, URI:"quoted, text", URI:hearsay://...`; quoted ones are nobody's. */
function urisIn(names: string | undefined): string[] {
  const plain = (names ?? "").replace(/"(?:[^"\\]|\\.)*"/g, "");
  return plain.split(", ").flatMap((each) => (each.startsWith("URI:") ? [each.slice(4)] : []));
}

function attempt<T>(act: () => T, failure: (error: unknown) => Error): T {
  try {
    return act();
  } catch (error) {
    throw failure(error);
  }
}
