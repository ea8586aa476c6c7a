/** Rows that the host stores in named tables. Needs `[allow] table = ["NAME"]`. Rows are kept if the attempt succeeds. */

export { CapabilityError } from "./failure.js";

/** Appends one row. */
export declare function append(table: string, row: object): void;
