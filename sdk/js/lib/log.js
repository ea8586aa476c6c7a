// Log lines for the operator, stored with the attempt. `console` writes the same lines.

import * as host from "#host/log";
import { format } from "./format.js";
import { phase } from "./phase.js";

function line(level, values) {
  if (!phase.isLoading) host.log(level, format(values));
}

export const trace = (...values) => line("trace", values);
export const debug = (...values) => line("debug", values);
export const info = (...values) => line("info", values);
export const warn = (...values) => line("warn", values);
export const error = (...values) => line("error", values);
