/**
 * Keeps the certificates that servers show good by the wall clock as it is: they are made anew when they are a day old, and when the clock was set, back or far ahead, since they were made; a controller
 * often starts before its machine knows the time. Says so when an authority itself does not count by that clock, which no new certificate mends.
 *
 * Never keeps what it found out: the age of what is shown is looked at again each second, so no jump of the clock is missed, whenever it came.
 */
import type { Logger } from "pino";
import type { Clock } from "../engine/clock.ts";
import type { Authorities } from "./authorities.ts";

const LOOK_MS = 1_000;
/** When they could not be made. */
const RETRY_MS = 30_000;

export interface ServerCertificatesOptions {
  readonly authorities: Authorities;
  readonly clock: Clock;
  /** To be shown to whoever does not ask the authorities at each connection. */
  readonly onRenewed: () => void;
  readonly logger: Logger;
}

/** Returns a function that ends it. */
export function renewServerCertificates({ authorities, clock, onRenewed, logger }: ServerCertificatesOptions): () => void {
  let isEnded = false;
  let cancel: () => void = () => {};
  let said = "";

  const renew = async (): Promise<number> => {
    try {
      await authorities.refresh();
      if (!isEnded) onRenewed();
      return LOOK_MS;
    } catch (error) {
      logger.error({ err: error }, "server certificates not renewed");
      return RETRY_MS;
    }
  };
  const warn = (): void => {
    const faults = authorities.outOfDate;
    const fault = faults.join("; ");
    if (fault !== "" && fault !== said) logger.error({ detail: fault }, "certificate authority does not count by this machine's clock");
    said = fault;
  };
  const look = (): void => {
    warn();
    if (!authorities.areStale) {
      cancel = clock.wakeAfter(LOOK_MS, look);
      return;
    }
    void renew().then((nextMs) => {
      if (!isEnded) cancel = clock.wakeAfter(nextMs, look);
    });
  };
  look();
  return () => {
    isEnded = true;
    cancel();
  };
}
