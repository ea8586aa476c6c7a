/** Values that the host stores for the hook. Needs `[allow] kv = true`. Writes are kept if the attempt succeeds. */

import type { Body } from "./index.js";

export { CapabilityError } from "./failure.js";

export interface Expiry {
  /** The value expires after this time. The default is never. */
  expiresInSeconds?: number;
}

/** The text of a value; `undefined` if the key has none. */
export declare function get(key: string): string | undefined;
export declare function getBytes(key: string): Uint8Array | undefined;
/** A value that `setJson` has written. `T` is not checked. */
export declare function getJson<T = unknown>(key: string): T | undefined;
export declare function set(key: string, value: Body, options?: Expiry): void;
export declare function setJson(key: string, value: unknown, options?: Expiry): void;
declare function remove(key: string): void;
export { remove as delete };
/** Keys that begin with `prefix`, in byte order, after `after`; at most `limit`, and at most 1,000. */
export declare function listKeys(prefix?: string, options?: { after?: string; limit?: number }): string[];
/**
 * Sets the value if the present one is `expected` (`undefined`: the key has no value), and returns true. If another attempt changes it
 * before this attempt is committed, nothing of this attempt is kept and the event runs again.
 */
export declare function compareAndSet(key: string, expected: Body | undefined, value: Body, options?: Expiry): boolean;
/** Adds to a whole number and returns the sum as this attempt sees it. The host adds up the increments of parallel attempts. */
export declare function increment(key: string, by?: number, options?: Expiry): number;
