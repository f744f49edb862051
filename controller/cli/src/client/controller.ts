/**
 * A connection to the controller's operator services. Every call goes through `unary` or `read`, so each has a deadline or
 * a way to be cancelled, and each fault leaves here as a `CliError` that says what to do.
 */
import {
  type ChannelCredentials,
  connectivityState,
  credentials,
  InterceptingCall,
  type Interceptor,
  ListenerBuilder,
  Metadata,
  status,
  type CallOptions,
  type Client,
  type ClientReadableStream,
  type ClientUnaryCall,
  type ServiceError,
} from "@grpc/grpc-js";
import { checkServerIdentity } from "node:tls";
import { durationText } from "@muster/proto/duration.ts";
import { AccessServiceClient } from "@muster/proto/gen/muster/v1/access.ts";
import { ArtifactsServiceClient } from "@muster/proto/gen/muster/v1/artifacts.ts";
import { BackupServiceClient } from "@muster/proto/gen/muster/v1/backup.ts";
import { DeploymentsServiceClient } from "@muster/proto/gen/muster/v1/deployments.ts";
import { EventsServiceClient } from "@muster/proto/gen/muster/v1/events.ts";
import { FleetServiceClient } from "@muster/proto/gen/muster/v1/fleet.ts";
import { ForecastServiceClient } from "@muster/proto/gen/muster/v1/forecast.ts";
import { IdentityServiceClient } from "@muster/proto/gen/muster/v1/identity.ts";
import { HistoryServiceClient } from "@muster/proto/gen/muster/v1/history.ts";
import { SecretsServiceClient } from "@muster/proto/gen/muster/v1/secrets.ts";
import { TrustServiceClient } from "@muster/proto/gen/muster/v1/trust.ts";
import { authorityName, CONTROLLER_NAME } from "@muster/proto/identity.ts";
import { NOW_HEADER } from "@muster/proto/now-header.ts";
import { pemOf, pinOf } from "../access/authority.ts";
import type { Credential } from "../access/logins.ts";
import type { ControllerClock } from "../context.ts";
import { CliError, EXIT } from "../errors.ts";
import { type ControllerAddress, howToStart, isSocket } from "./address.ts";
import { KEEPALIVE, type Keepalive } from "./keepalive.ts";
import { endingOf } from "./status-codes.ts";

/** A controller that is well answers in milliseconds; a peer that accepts and says nothing would hold us for ever. */
const UNARY_DEADLINE_MS = 5_000;
/** What is read in slices, of a large fleet or of its past, waits for its turns. */
export const LARGE_READ_DEADLINE_MS = 30_000;
/** A status with 100,000 targets is about 10 MB. */
const RECEIVE_BYTES_MAX = 64 * 1024 * 1024;
const CHANNEL_OPTIONS = {
  "grpc.max_receive_message_length": RECEIVE_BYTES_MAX,
  "grpc.enable_channelz": 0,
  // A proxy from the environment is for the world outside, and the controller listens on loopback.
  "grpc.enable_http_proxy": 0,
  // A fresh connection must not inherit the back-off of the one that it replaces.
  "grpc.use_local_subchannel_pool": 1,
} as const;

type UnaryMethod<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall;

type ReadMethod<Request, Response> = (request: Request, options?: Partial<CallOptions>) => ClientReadableStream<Response>;

interface UnaryOptions {
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

/** How it is spoken to. */
export type Way =
  /** Through the unix socket, which its file's permissions guard. */
  | { readonly kind: "local"; readonly user: string }
  /** `authorities`: DER, oldest first; nobody else is believed. Without a credential only what anybody may ask is answered. */
  | { readonly kind: "tls"; readonly authorities: readonly Uint8Array[]; readonly credential: Credential | undefined };

export class Controller {
  readonly address: ControllerAddress;
  readonly access: AccessServiceClient;
  readonly deployments: DeploymentsServiceClient;
  readonly fleet: FleetServiceClient;
  readonly artifacts: ArtifactsServiceClient;
  readonly events: EventsServiceClient;
  readonly history: HistoryServiceClient;
  readonly forecast: ForecastServiceClient;
  readonly identity: IdentityServiceClient;
  readonly backups: BackupServiceClient;
  readonly trust: TrustServiceClient;
  readonly secrets: SecretsServiceClient;

  /** Connects with the first call. All services share one connection. `clock` is told the time that each answer begins with. */
  constructor(address: ControllerAddress, way: Way = { kind: "local", user: "" }, keepalive: Keepalive = KEEPALIVE, clock?: Pick<ControllerClock, "heard">) {
    if (way.kind === "local" && !isSocket(address.target)) throw new Error("only a socket is spoken to without TLS");
    this.address = address;
    const channel = way.kind === "local" ? credentials.createInsecure() : trusting(way.authorities, way.credential);
    const options = { interceptors: [saying(headersOf(way), (at) => clock?.heard(at))] };
    this.deployments = new DeploymentsServiceClient(address.target, channel, { ...CHANNEL_OPTIONS, ...keepaliveOptions(keepalive), ...serverName(way), ...options });
    const shared = { ...options, channelOverride: this.deployments.getChannel() };
    this.fleet = new FleetServiceClient(address.target, channel, shared);
    this.artifacts = new ArtifactsServiceClient(address.target, channel, shared);
    this.events = new EventsServiceClient(address.target, channel, shared);
    this.history = new HistoryServiceClient(address.target, channel, shared);
    this.forecast = new ForecastServiceClient(address.target, channel, shared);
    this.identity = new IdentityServiceClient(address.target, channel, shared);
    this.backups = new BackupServiceClient(address.target, channel, shared);
    this.access = new AccessServiceClient(address.target, channel, shared);
    this.trust = new TrustServiceClient(address.target, channel, shared);
    this.secrets = new SecretsServiceClient(address.target, channel, shared);
  }

  /** `method` belongs to one of the clients above. */
  unary<Request, Response>(
    client: Client,
    method: UnaryMethod<Request, Response>,
    request: Request,
    { deadlineMs = UNARY_DEADLINE_MS, signal }: UnaryOptions = {},
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      const call = method.call(client, request, new Metadata(), { deadline: Date.now() + deadlineMs }, (error, response) => {
        signal?.removeEventListener("abort", cancel);
        if (error === null) resolve(response);
        else reject(this.explain(error, deadlineMs));
      });
      const cancel = (): void => call.cancel();
      signal?.addEventListener("abort", cancel, { once: true });
      if (signal?.aborted === true) cancel();
    });
  }

  /** The messages of a stream that ends by itself. A peer that says nothing for so long is away, however much there is to say. */
  async *list<Request, Response>(
    client: Client,
    method: ReadMethod<Request, Response>,
    request: Request,
    { deadlineMs = UNARY_DEADLINE_MS }: Pick<UnaryOptions, "deadlineMs"> = {},
  ): AsyncGenerator<Response, void, undefined> {
    const stream = method.call(client, request);
    let isSilent = false;
    const timer = setTimeout(() => {
      isSilent = true;
      stream.cancel();
    }, deadlineMs);
    try {
      for await (const message of stream) {
        timer.refresh();
        yield message as Response;
      }
    } catch (error) {
      throw this.explain(isSilent && isServiceError(error) ? Object.assign(error, { code: status.DEADLINE_EXCEEDED }) : error, deadlineMs);
    } finally {
      clearTimeout(timer);
      stream.cancel();
    }
  }

  /** The messages of a stream; ends quietly when the signal is aborted. */
  async *read<Request, Response>(
    client: Client,
    method: ReadMethod<Request, Response>,
    request: Request,
    signal: AbortSignal,
  ): AsyncGenerator<Response, void, undefined> {
    const stream = method.call(client, request);
    const cancel = (): void => stream.cancel();
    signal.addEventListener("abort", cancel, { once: true });
    if (signal.aborted) cancel();
    try {
      for await (const message of stream) yield message as Response;
    } catch (error) {
      if (!signal.aborted) throw this.explain(error);
    } finally {
      signal.removeEventListener("abort", cancel);
      stream.cancel();
    }
  }

  /** A fault of a call, in words. Whatever is not gRPC's is a bug and stays as it is. */
  explain(error: unknown, deadlineMs: number = UNARY_DEADLINE_MS): unknown {
    if (!isServiceError(error)) return error;
    const { exit, code } = endingOf(wasCutOff(error) ? status.UNAVAILABLE : error.code);
    if (code !== "unreachable" || this.#answered(error)) return new CliError(error.details, { code, exit, cause: error });
    const { target, source } = this.address;
    if (UNTRUSTED.test(error.details)) return new CliError(untrusted(target, error.details), { code: "untrusted", exit: EXIT.failed, cause: error });
    // Whoever may not open the socket is told whom to ask; it is there.
    const wayOut = isForbidden(error) ? "" : `. Is it running?${howToStart(this.address)}`;
    const message = `cannot reach the controller at ${target} (from ${source}): ${whyUnreachable(error, deadlineMs)}${wayOut}`;
    return new CliError(message, { code, exit, cause: error });
  }

  close(): void {
    this.deployments.close();
  }

  /** UNAVAILABLE over a connection that stands is the controller's own word, for example about a machine. */
  #answered(error: ServiceError): boolean {
    return error.code === status.UNAVAILABLE && this.deployments.getChannel().getConnectivityState(false) === connectivityState.READY;
  }
}

/** A stream to one that is away ends instead of staying open for ever. */
function keepaliveOptions({ pingEveryMs, answerWithinMs }: Keepalive): Readonly<Record<string, number>> {
  return { "grpc.keepalive_time_ms": pingEveryMs, "grpc.keepalive_timeout_ms": answerWithinMs };
}

/** The only roots are the controller's own authorities, and only a controller has this name. */
function trusting(authorities: readonly Uint8Array[], credential: Credential | undefined): ChannelCredentials {
  const roots = Buffer.from(authorities.map(pemOf).join(""));
  const own = credential?.kind === "certificate" ? credential : undefined;
  const [key, certificate] = own === undefined ? [null, null] : [Buffer.from(own.key), Buffer.from(own.certificate)];
  return credentials.createSsl(roots, key, certificate, { checkServerIdentity: (_host, shown) => checkServerIdentity(CONTROLLER_NAME, shown) });
}

/** A controller that has two authorities answers with the certificate of the one that is asked for. */
function serverName(way: Way): { readonly "grpc.ssl_target_name_override"?: string } {
  const newest = way.kind === "local" ? undefined : way.authorities.at(-1);
  return newest === undefined ? {} : { "grpc.ssl_target_name_override": authorityName(pinOf(newest)) };
}

function headersOf(way: Way): Readonly<Record<string, string>> {
  // Headers are ASCII.
  if (way.kind === "local") return { "muster-user": way.user.replaceAll(/[^\x20-\x7E]/g, "?") };
  switch (way.credential?.kind) {
    case "token":
    case "oidc":
      return { authorization: `Bearer ${way.credential.token}` };
    case "certificate":
    case undefined:
      return {};
  }
}

/** Says these with each call, and hands on what the answer says of the controller's clock. An older controller says nothing. */
function saying(headers: Readonly<Record<string, string>>, onNow: (at: number) => void): Interceptor {
  return (options, nextCall) =>
    new InterceptingCall(nextCall(options), {
      start: (metadata, _listener, next) => {
        for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
        const hearing = new ListenerBuilder().withOnReceiveMetadata((answer, pass) => {
          const now = Number(answer.get(NOW_HEADER)[0]);
          if (now > 0) onNow(now);
          pass(answer);
        });
        next(metadata, hearing.build());
      },
    });
}

/** What TLS says when the other side can't prove to be the controller. */
const UNTRUSTED = /self-signed certificate|unable to (?:verify|get)|certificate (?:signature failure|has expired|is not yet valid)|Hostname\/IP does not match|CERT_/;

function untrusted(target: string, details: string): string {
  if (details.includes("has expired") || details.includes("not yet valid")) return `the certificate of the controller at ${target} is out of date, or this machine's clock is wrong`;
  return (
    `certificate of another authority: who answers at ${target} is not the controller that was logged in to. Either it was set up anew, or somebody is in between. ` +
    `Compare the pin with somebody who knows it, then: muster login ${target} --ca sha256:PIN`
  );
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && typeof error.code === "number" && "details" in error;
}

/** A controller that stops at once cancels its calls, and then it is away. Our own cancelling says so. */
function wasCutOff({ code, details }: ServiceError): boolean {
  return code === status.CANCELLED && details !== "Cancelled on client";
}

function isForbidden({ details }: ServiceError): boolean {
  return /EACCES|EPERM/.test(details);
}

function whyUnreachable(error: ServiceError, deadlineMs: number): string {
  if (error.code === status.DEADLINE_EXCEEDED) return `no answer within ${durationText(deadlineMs)}`;
  if (error.details.includes("ECONNREFUSED")) return "connection refused";
  if (/ENOENT/.test(error.details)) return "there is no such socket";
  if (isForbidden(error)) return "only the user that it runs as may open it; others log in: muster login HOST:PORT";
  if (error.details.includes("ENOTFOUND") || error.details.includes("Name resolution failed")) return "no such host";
  if (wasCutOff(error) || /ECONNRESET|Connection dropped/.test(error.details)) return "the connection broke";
  return error.details;
}
