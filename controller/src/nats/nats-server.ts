/**
 * A nats-server as the rest of the controller knows it, be it the controller's own child or somebody else's.
 */
export interface NatsServer {
  /** How this machine reaches it; stays the same as long as the controller lives. */
  readonly url: string;
  /** The newest one, which may have ended a moment ago; undefined: it is somebody else's. */
  pid(): number | undefined;
  /** Calls back after each later start. */
  onPid(callback: (pid: number) => void): void;
  /** Reads the certificate again; connections stay. */
  reload(): void;
  stop(): Promise<void>;
}

/** One that somebody else runs, and starts, and stops. */
export function externalNats(url: string): NatsServer {
  return { url, pid: () => undefined, onPid: () => undefined, reload: () => undefined, stop: () => Promise.resolve() };
}
