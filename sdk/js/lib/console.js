// The global `console`: each call is a log line of the attempt. What is written outside the handler is lost.

import * as host from "#host/log";
import { format, inspect } from "./format.js";
import { phase } from "./phase.js";

export function makeConsole() {
  const counts = new Map();
  const timers = new Map();
  let indent = "";

  const at = (level) => (...values) => {
    if (!phase.isLoading) host.log(level, format(values).replace(/^/gm, indent));
  };
  const info = at("info");
  const open = (...values) => {
    if (values.length > 0) info(...values);
    indent += "  ";
  };
  const elapsed = (label) => {
    const started = timers.get(label);
    return started === undefined ? `no timer "${label}"` : `${label}: ${Date.now() - started} ms`;
  };

  return {
    trace: at("trace"),
    debug: at("debug"),
    log: info,
    info,
    warn: at("warn"),
    error: at("error"),
    dir: (value) => info(inspect(value)),
    table: (value) => info(inspect(value)),
    assert: (condition, ...values) => {
      if (!condition) at("error")("assertion failed", ...values);
    },
    group: open,
    groupCollapsed: open,
    groupEnd: () => {
      indent = indent.slice(2);
    },
    count: (label = "default") => {
      counts.set(label, (counts.get(label) ?? 0) + 1);
      info(`${label}: ${counts.get(label)}`);
    },
    countReset: (label = "default") => counts.delete(label),
    time: (label = "default") => timers.set(label, Date.now()),
    timeLog: (label = "default", ...values) => info(elapsed(label), ...values),
    timeEnd: (label = "default") => {
      info(elapsed(label));
      timers.delete(label);
    },
  };
}
