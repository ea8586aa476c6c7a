// Random numbers of the host. Without this module, each instance would repeat those that the engine had when the component was built.

import { getRandomBytes } from "wasi:random/random@0.2.12";
import { inHandler, phase } from "../phase.js";

let state;

function bytes(count) {
  inHandler("a function for random numbers");
  return getRandomBytes(count);
}

const rotated = (value, by) => (value << by) | (value >>> (32 - by));

/** The generator xoshiro128**, seeded by the host on its first use in an event. */
function next() {
  state ??= new Uint32Array(Uint8Array.from(bytes(16)).buffer);
  const result = Math.imul(rotated(Math.imul(state[1], 5), 7), 9) >>> 0;
  const shifted = state[1] << 9;
  state[2] ^= state[0];
  state[3] ^= state[1];
  state[1] ^= state[2];
  state[0] ^= state[3];
  state[2] ^= shifted;
  state[3] = rotated(state[3], 11);
  return result;
}

const engineRandom = Math.random;

/** `Math.random`. Packages may call it while they load: those numbers are the same for each event. */
export function random() {
  if (phase.isLoading) return engineRandom();
  return ((next() >>> 5) * 0x4000000 + (next() >>> 6)) / 0x20000000000000;
}

const GET_MAX = 65536;

export const crypto = {
  getRandomValues(array) {
    const isWhole = ArrayBuffer.isView(array) && !/Float|DataView/.test(array.constructor.name);
    if (!isWhole) throw new TypeError("crypto.getRandomValues takes an array of whole numbers, such as Uint8Array");
    if (array.byteLength > GET_MAX) {
      throw new RangeError(`crypto.getRandomValues draws at most ${GET_MAX} bytes at once`);
    }
    new Uint8Array(array.buffer, array.byteOffset, array.byteLength).set(bytes(array.byteLength));
    return array;
  },

  randomUUID() {
    const drawn = Uint8Array.from(bytes(16));
    drawn[6] = (drawn[6] & 0x0f) | 0x40;
    drawn[8] = (drawn[8] & 0x3f) | 0x80;
    const hex = Array.from(drawn, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  },

  get subtle() {
    throw new TypeError(
      "crypto.subtle is not available in a handler: Landfall verifies senders and adds credentials itself; " +
        "for anything else, use a package in plain JavaScript such as @noble/hashes",
    );
  },
};
