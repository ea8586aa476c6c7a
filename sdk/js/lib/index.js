// What a handler imports.

export { emit } from "./emit.js";
export { Event } from "./event.js";
export { CapabilityError, Defer, HttpError, Reject, Retry } from "./failure.js";
export { Headers } from "./headers.js";
export { json, Reply, reply, text } from "./reply.js";
export * as http from "./http.js";
export * as kv from "./kv.js";
export * as log from "./log.js";
export * as settings from "./settings.js";
export * as table from "./table.js";
