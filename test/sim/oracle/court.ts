/** What each check is given: the hosts, what was ordered and said, and a place to complain. */
import type { SimController } from "../controller.ts";
import type { Releases } from "../releases.ts";
import type { Invariant } from "../violation.ts";
import type { Hosts } from "./hosts.ts";
import type { Outside } from "./outside.ts";
import type { Record } from "./record.ts";

export interface Court {
  readonly hosts: Hosts;
  readonly record: Record;
  readonly outside: Outside;
  readonly releases: Releases;
  readonly controller: SimController;
  complain(invariant: Invariant, what: string): void;
}
