// The failures of the contract.

import { Defer, Reject, Retry } from "./failure.js";
import { wholeSeconds } from "./payload.js";
import { rawReply } from "./reply.js";
import { described } from "./trace.js";

/** The failure of the contract that a thrown value stands for. It never throws: the engine would end the component. */
export function failureOf(thrown) {
  if (thrown instanceof Reject) {
    const val = { reason: reasonOf(thrown, "rejected"), reply: undefined };
    try {
      val.reply = rawReply(thrown.reply);
    } catch (error) {
      val.reason += `; its reply is not valid: ${described(error).toWellFormed()}`;
    }
    return { tag: "reject", val };
  }
  if (thrown instanceof Retry || thrown instanceof Defer) {
    const tag = thrown instanceof Retry ? "retry" : "defer";
    const val = { reason: reasonOf(thrown, tag), afterS: undefined };
    try {
      val.afterS = wholeSeconds(thrown.afterSeconds, "afterSeconds");
    } catch (error) {
      val.reason += `; its time is not valid: ${described(error).toWellFormed()}`;
    }
    return { tag, val };
  }
  return { tag: "retry", val: { reason: described(thrown).toWellFormed(), afterS: undefined } };
}

function reasonOf(failure, otherwise) {
  try {
    return String(failure.message || otherwise).toWellFormed();
  } catch {
    return otherwise;
  }
}
