/**
 * A program of its own: a deployment file on stdin, on stdout the release that it makes and where its artifact is, or its faults, as JSON. A publisher's machine runs it to sign, so that what is signed comes
 * from the file and from no controller.
 */
import { buffer } from "node:stream/consumers";
import { Release } from "@muster/proto/gen/muster/v1/release.ts";
import { readDeploymentFile } from "./read.ts";

const read = readDeploymentFile(await buffer(process.stdin));
const answer = read.ok ? { release: Release.toJSON(read.file.release), artifactPath: read.file.artifactPath } : { faults: read.faults };
process.stdout.write(JSON.stringify(answer));
