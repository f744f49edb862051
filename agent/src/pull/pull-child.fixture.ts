/** For tests: a process that pulls, to be killed at it. Arguments: directory, app, artifact, artifact URL. */
import pino from "pino";
import { createPuller } from "./puller.ts";

const [dir, app, artifact, artifactUrl] = process.argv.slice(2) as [string, string, string, string];
const puller = createPuller({ dir, logger: pino({ enabled: false }), limits: { rangeBytesMax: 4096, gapBytesMax: 0, rangesInFlight: 2 } });
await puller.pull({ app, artifact, artifactUrl, signal: new AbortController().signal });
