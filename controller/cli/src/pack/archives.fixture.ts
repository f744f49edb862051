/**
 * Archives for tests, written byte by byte so that they can be as hostile as a test wants. Never imported by product code.
 */
import { crc32, deflateRawSync } from "node:zlib";
import { Header, type HeaderData } from "tar";

export interface TarPart extends HeaderData {
  readonly content?: string | Uint8Array;
}

/** Two empty blocks end an archive. */
export const TAR_END = Buffer.alloc(1024);

export function tarPart({ content, ...data }: TarPart): Buffer {
  const bytes = Buffer.from(content ?? "");
  const block = Buffer.alloc(512);
  const header = new Header({ type: "File", mode: 0o644, size: bytes.length, mtime: new Date(0), ...data });
  header.encode(block, 0);
  return Buffer.concat([block, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]);
}

export function tarOf(...parts: readonly TarPart[]): Buffer {
  return Buffer.concat([...parts.map(tarPart), TAR_END]);
}

export interface ZipPart {
  readonly name: string | Uint8Array;
  readonly content?: string | Uint8Array;
  /** With its type bits; undefined: made by DOS, which has none. */
  readonly unixMode?: number;
  readonly flags?: number;
  readonly crc?: number;
  readonly claimedBytes?: number;
}

export function zipOf(...parts: readonly ZipPart[]): Buffer {
  const locals: Buffer[] = [];
  const central: Buffer[] = [];
  let offset = 0;
  for (const part of parts) {
    const name = Buffer.from(part.name);
    const content = Buffer.from(part.content ?? "");
    const packed = deflateRawSync(content);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(part.flags ?? 0x800, 2);
    common.writeUInt16LE(8, 4);
    common.writeUInt32LE(part.crc ?? crc32(content), 10);
    common.writeUInt32LE(packed.length, 14);
    common.writeUInt32LE(part.claimedBytes ?? content.length, 18);
    common.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from("PK\x03\x04"), common, name, packed]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(((part.unixMode ?? 0) << 16) >>> 0, 6);
    tail.writeUInt32LE(offset, 10);
    const madeBy = Buffer.from([20, part.unixMode === undefined ? 0 : 3]);
    central.push(Buffer.concat([Buffer.from("PK\x01\x02"), madeBy, common, tail, name]));
    locals.push(local);
    offset += local.length;
  }
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", 0, "latin1");
  end.writeUInt16LE(parts.length, 8);
  end.writeUInt16LE(parts.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, directory, end]);
}
