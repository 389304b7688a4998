/**
 * Authorities and certificates for tests, made once for each file of tests and gone after it.
 */
import { mkdtempSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import {
  type CertificateRequest,
  createAuthority,
  createCertificate,
} from "../../src/cli/certs.ts";
import type { TlsFiles } from "../../src/io/tls.ts";

/** One authority, with a folder of its own. */
export class Authority {
  readonly folder: string;
  readonly #made = new Map<string, Promise<TlsFiles>>();
  #ready: Promise<void> | undefined;

  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), "hearsay-ca-"));
    afterAll(() => rm(this.folder, { recursive: true, force: true }));
  }

  get ca(): string {
    return join(this.folder, "ca.pem");
  }

  /** The files of a peer; the same ones for the same peer. */
  filesOf(name: string, cluster = "hearsay"): Promise<TlsFiles> {
    const known = this.#made.get(`${cluster}/${name}`) ?? this.make({ name, cluster });
    this.#made.set(`${cluster}/${name}`, known);
    return known;
  }

  /** Makes a certificate anew, in the place of one that is there. */
  async make(request: CertificateRequest): Promise<TlsFiles> {
    this.#ready ??= createAuthority(this.folder, "hearsay");
    await this.#ready;
    return { ...(await createCertificate(this.folder, request)), ca: this.ca };
  }
}

/** What the files hold, as `tls` takes it. */
export const contentsOf = (files: Partial<TlsFiles>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(files).map(([name, path]) => [name, readFileSync(path, "utf8")]),
  );
