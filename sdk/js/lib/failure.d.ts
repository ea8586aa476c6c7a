import type { Reply } from "./index.js";

/** This event can never succeed: it is dead at once. The caller, if it still waits, receives 422 or `reply`. */
export declare class Reject extends Error {
  constructor(reason: string, options?: { reply?: Reply | Response; cause?: unknown });
  readonly name: "Reject";
  readonly reply: Reply | Response | undefined;
}

/** Something outside failed, and the event may succeed later. The attempt counts against `[retry] attempts`. */
export declare class Retry extends Error {
  constructor(reason: string, options?: { afterSeconds?: number; cause?: unknown });
  readonly name: "Retry";
  readonly afterSeconds: number | undefined;
}

/** Something that the event needs is not there yet. The event runs again, and the attempt does not count. */
export declare class Defer extends Error {
  constructor(reason: string, options?: { afterSeconds?: number; cause?: unknown });
  readonly name: "Defer";
  readonly afterSeconds: number | undefined;
}

/** Why an outbound call has no response. */
export declare class HttpError extends Error {
  constructor(kind: HttpError["kind"], message: string);
  readonly name: "HttpError";
  readonly kind:
    | "denied"
    | "invalid"
    | "unavailable"
    | "unresolved"
    | "unreachable"
    | "tls"
    | "interrupted"
    | "timeout"
    | "limit"
    | "other";
  /** Whether the receiver cannot have acted, because nothing was sent. */
  readonly nothingWasSent: boolean;
}

/** Why `kv`, `table` or `emit` did not do what was asked. */
export declare class CapabilityError extends Error {
  constructor(kind: CapabilityError["kind"], message: string);
  readonly name: "CapabilityError";
  readonly kind: "denied" | "invalid" | "limit" | "unavailable" | "other";
}
