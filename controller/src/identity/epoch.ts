/**
 * The epoch, and the one place where the journal's generations become those of the wire and back. Raised when the controller is restored from a backup:
 * then what it issues is newer than all that was issued before, though its journal has gone back.
 */
import { EPOCH_MAX, epochOf, generationOf, numberOf } from "@muster/proto/generation.ts";
import type { Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import type { Generation } from "@muster/proto/ids.ts";
import { join } from "node:path";
import { identityDir, PrivateFileError, readPrivate } from "./private-file.ts";

export class Epoch {
  readonly number: number;

  constructor(number: number) {
    this.number = number;
  }

  toWire(generation: Generation | number): number {
    return generationOf(this.number, generation);
  }

  /**
   * 0, which is that of no assignment, for one of another epoch: the journal knows nothing of what was issued then, and a number of it may be that of something
   * else now. The agent takes what it is told under the new epoch, and says how it stands once more.
   */
  fromWire(generation: number): Generation {
    return (epochOf(generation) === this.number ? numberOf(generation) : 0) as Generation;
  }

  assignment(assignment: Assignment): Assignment {
    const apps = assignment.apps.map((app) => ({ ...app, generation: this.toWire(app.generation) }));
    return { ...assignment, generation: this.toWire(assignment.generation), apps };
  }
}

/** The first epoch is 0, and needs no file. Throws PrivateFileError. */
export function readEpoch(dir: string): Epoch {
  const path = fileOf(dir);
  const text = readPrivate(path);
  if (text === undefined) return new Epoch(0);
  const epoch = /^\d{1,4}\n?$/.test(text) ? Number(text) : NaN;
  if (!(epoch <= EPOCH_MAX)) throw new PrivateFileError("unreadable", `${path} does not hold an epoch (0 to ${EPOCH_MAX})`);
  return new Epoch(epoch);
}

function fileOf(dir: string): string {
  return join(identityDir(dir), "epoch");
}
