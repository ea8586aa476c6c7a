// How a handler says that it did not handle the event, and the errors of calls to the host.

import { wholeSeconds } from "./payload.js";

/** This event can never succeed: it is dead at once. The caller receives 422, or `reply`. */
export class Reject extends Error {
  constructor(reason, options = {}) {
    super(reason, options);
    this.name = "Reject";
    this.reply = options.reply;
  }
}

/** Something outside failed: the event runs again, and the attempt counts. */
export class Retry extends Error {
  constructor(reason, options = {}) {
    super(reason, options);
    this.name = "Retry";
    this.afterSeconds = wholeSeconds(options.afterSeconds, "afterSeconds");
  }
}

/** Something that this event needs is not there yet: the event runs again, and the attempt does not count. */
export class Defer extends Error {
  constructor(reason, options = {}) {
    super(reason, options);
    this.name = "Defer";
    this.afterSeconds = wholeSeconds(options.afterSeconds, "afterSeconds");
  }
}

const NOTHING_SENT = ["denied", "invalid", "unavailable", "unresolved", "unreachable", "tls"];

/** Why an outbound call has no response. */
export class HttpError extends Error {
  constructor(kind, message) {
    super(message);
    this.name = "HttpError";
    this.kind = kind;
  }

  /** Whether the receiver cannot have acted, because nothing was sent. */
  get nothingWasSent() {
    return NOTHING_SENT.includes(this.kind);
  }
}

/** Why `kv`, `table` or `emit` did not do what was asked. */
export class CapabilityError extends Error {
  constructor(kind, message) {
    super(message);
    this.name = "CapabilityError";
    this.kind = kind;
  }
}

/** The `{ tag, val }` that a call of the host threw: the engine puts it into `payload` of an `Error`. */
function thrownCase(thrown) {
  const found = thrown?.payload ?? thrown;
  return typeof found?.tag === "string" ? found : undefined;
}

/** The result of a call to the host; its error becomes one of the class `Kind`. */
export function calling(Kind, call) {
  try {
    return call();
  } catch (thrown) {
    const found = thrownCase(thrown);
    if (!found) throw thrown;
    throw new Kind(found.tag, found.val);
  }
}
