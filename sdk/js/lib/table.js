// Rows that the host stores in named tables. Needs `[allow] table = ["NAME"]`. Rows are kept if the attempt succeeds.

import * as host from "#host/table";
import { calling, CapabilityError } from "./failure.js";
import { jsonText, textFor } from "./payload.js";
import { inHandler } from "./phase.js";

export { CapabilityError } from "./failure.js";

/** Appends one row: a JSON object. */
export function append(table, row) {
  inHandler("table.append");
  const name = textFor(table, "the name of a table");
  const text = jsonText(row, "a row").toWellFormed();
  calling(CapabilityError, () => host.append(name, text));
}
