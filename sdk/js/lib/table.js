// Rows that the host stores in named tables. Needs `[allow] table = ["NAME"]`. Rows are kept if the attempt succeeds.

import * as host from "#host/table";
import { calling, CapabilityError } from "./failure.js";
import { jsonText } from "./payload.js";

export { CapabilityError } from "./failure.js";

/** Appends one row: a JSON object. */
export function append(table, row) {
  const text = jsonText(row, "a row");
  calling(CapabilityError, () => host.append(table, text));
}
