/** The `[settings]` table of the hook file. It has no secrets. */

/** One setting: the text of a string, the JSON form of another value, `undefined` if it is not set. */
export declare function get(key: string): string | undefined;
/** The whole table. `T` is not checked: give the component a schema of its settings, and Landfall checks them. */
export declare function all<T = Record<string, unknown>>(): T;
