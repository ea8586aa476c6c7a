// What a component exports: the author's functions with the types of the contract around them.

import * as host from "#host/log";
import { Event } from "./event.js";
import { failureOf } from "./outcome.js";
import { kindOf } from "./payload.js";
import { phase } from "./phase.js";
import { drain, LandfallPromise, unhandled } from "./promise.js";
import { rawReply } from "./reply.js";
import { described } from "./trace.js";

/** The export `landfall:hook/handler`. */
export function handlerOf(onEvent) {
  isFunction(onEvent, "the default export");
  return {
    handle(raw) {
      try {
        return replyTo(onEvent, raw);
      } catch (thrown) {
        throw failureOf(thrown);
      }
    },
  };
}

/** The export `landfall:hook/responder`. */
export function responderOf(onEvent) {
  isFunction(onEvent, "the export `responder`");
  return {
    respond(raw) {
      try {
        return replyTo(onEvent, raw);
      } catch (thrown) {
        throw failureOf(thrown).val.reason;
      }
    },
  };
}

function isFunction(value, what) {
  if (typeof value !== "function") throw new TypeError(`${what} is ${kindOf(value)}, not a function`);
}

function replyTo(onEvent, raw) {
  phase.isLoading = false;
  return rawReply(settled(onEvent(new Event(raw))));
}

/** The value of a promise, after every job has run. */
function settled(returned) {
  if (typeof returned?.then !== "function") {
    finish();
    return returned;
  }
  const outcome = {};
  LandfallPromise.resolve(returned).then(
    (value) => Object.assign(outcome, { state: "fulfilled", value }),
    (reason) => Object.assign(outcome, { state: "rejected", reason }),
  );
  drain();
  if (outcome.state === "rejected") throw outcome.reason;
  if (outcome.state !== "fulfilled") {
    throw new Error("the handler waits for a promise that nothing resolves: timers and other events do not run beside it");
  }
  finish();
  return outcome.value;
}

/** Runs what was started without `await`. An error there fails the attempt; further ones are log lines. */
function finish() {
  drain();
  const reasons = unhandled();
  if (reasons.length === 0) return;
  for (const other of reasons.slice(1)) host.log("error", described(other).toWellFormed());
  throw reasons[0];
}
