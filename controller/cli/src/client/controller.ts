/**
 * A connection to the controller's operator services. Every call goes through `unary` or `read`, so each has a deadline or
 * a way to be cancelled, and each fault leaves here as a `CliError` that says what to do.
 */
import {
  connectivityState,
  credentials,
  Metadata,
  status,
  type CallOptions,
  type Client,
  type ClientReadableStream,
  type ClientUnaryCall,
  type ServiceError,
} from "@grpc/grpc-js";
import { ArtifactsServiceClient } from "@muster/proto/gen/muster/v1/artifacts.ts";
import { DeploymentsServiceClient } from "@muster/proto/gen/muster/v1/deployments.ts";
import { EventsServiceClient } from "@muster/proto/gen/muster/v1/events.ts";
import { FleetServiceClient } from "@muster/proto/gen/muster/v1/fleet.ts";
import { ForecastServiceClient } from "@muster/proto/gen/muster/v1/forecast.ts";
import { HistoryServiceClient } from "@muster/proto/gen/muster/v1/history.ts";
import { CliError } from "../errors.ts";
import { SecretsServiceClient } from "@muster/proto/gen/muster/v1/secrets.ts";
import type { ControllerAddress } from "./address.ts";
import { endingOf } from "./status-codes.ts";

/** A controller that is well answers in milliseconds; a peer that accepts and says nothing would hold us for ever. */
const UNARY_DEADLINE_MS = 5_000;
/** A status with 100,000 targets is about 10 MB. */
const RECEIVE_BYTES_MAX = 64 * 1024 * 1024;

const CHANNEL_OPTIONS = {
  "grpc.max_receive_message_length": RECEIVE_BYTES_MAX,
  "grpc.enable_channelz": 0,
  // A proxy from the environment is for the world outside, and the controller listens on loopback.
  "grpc.enable_http_proxy": 0,
  // A fresh connection must not inherit the back-off of the one that it replaces.
  "grpc.use_local_subchannel_pool": 1,
  // A stream to a host that has vanished ends after 15 s instead of never.
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 5_000,
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

export class Controller {
  readonly address: ControllerAddress;
  readonly deployments: DeploymentsServiceClient;
  readonly fleet: FleetServiceClient;
  readonly artifacts: ArtifactsServiceClient;
  readonly events: EventsServiceClient;
  readonly history: HistoryServiceClient;
  readonly forecast: ForecastServiceClient;
  readonly secrets: SecretsServiceClient;

  /** Connects with the first call. All services share one connection. */
  constructor(address: ControllerAddress) {
    this.address = address;
    this.deployments = new DeploymentsServiceClient(address.target, credentials.createInsecure(), CHANNEL_OPTIONS);
    const shared = { channelOverride: this.deployments.getChannel() };
    this.fleet = new FleetServiceClient(address.target, credentials.createInsecure(), shared);
    this.artifacts = new ArtifactsServiceClient(address.target, credentials.createInsecure(), shared);
    this.events = new EventsServiceClient(address.target, credentials.createInsecure(), shared);
    this.history = new HistoryServiceClient(address.target, credentials.createInsecure(), shared);
    this.forecast = new ForecastServiceClient(address.target, credentials.createInsecure(), shared);
    this.secrets = new SecretsServiceClient(address.target, credentials.createInsecure(), shared);
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
    const message =
      `cannot reach the controller at ${target} (from ${source}): ${whyUnreachable(error, deadlineMs)}. ` +
      "Is it running? Start one with: muster dev";
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

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && typeof error.code === "number" && "details" in error;
}

/** A controller that stops at once cancels its calls, and then it is away. Our own cancelling says so. */
function wasCutOff({ code, details }: ServiceError): boolean {
  return code === status.CANCELLED && details !== "Cancelled on client";
}

function whyUnreachable(error: ServiceError, deadlineMs: number): string {
  if (error.code === status.DEADLINE_EXCEEDED) return `no answer within ${deadlineMs / 1000} s`;
  if (error.details.includes("ECONNREFUSED")) return "connection refused";
  if (error.details.includes("ENOTFOUND") || error.details.includes("Name resolution failed")) return "no such host";
  if (wasCutOff(error) || /ECONNRESET|Connection dropped/.test(error.details)) return "the connection broke";
  return error.details;
}
