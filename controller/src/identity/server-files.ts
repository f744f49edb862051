/** The certificate that nats-server shows, in files, as it reads it. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Authorities } from "./authorities.ts";
import { writePrivate } from "./private-file.ts";

export class ServerFiles {
  readonly certFile: string;
  readonly keyFile: string;
  readonly #authorities: Authorities;

  constructor(dir: string, authorities: Authorities) {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    this.certFile = join(dir, "server.crt");
    this.keyFile = join(dir, "server.key");
    this.#authorities = authorities;
  }

  /** The newest of what everybody trusts. The server reads both when it is told to. */
  write(): void {
    const { key, chain } = this.#authorities.shownToAll;
    writePrivate(this.keyFile, key);
    writePrivate(this.certFile, chain);
  }
}
