// The failures of the contract.

import { Defer, Reject, Retry } from "./failure.js";
import { rawReply } from "./reply.js";
import { described } from "./trace.js";

/** The failure of the contract that a thrown value stands for. */
export function failureOf(thrown) {
  const failure = caseOf(thrown);
  failure.val.reason = String(failure.val.reason).toWellFormed();
  return failure;
}

function caseOf(thrown) {
  if (thrown instanceof Reject) {
    const val = { reason: thrown.message || "rejected", reply: undefined };
    try {
      val.reply = rawReply(thrown.reply);
    } catch (error) {
      val.reason += `; its reply is not valid: ${error.message}`;
    }
    return { tag: "reject", val };
  }
  if (thrown instanceof Retry || thrown instanceof Defer) {
    const tag = thrown instanceof Retry ? "retry" : "defer";
    return { tag, val: { reason: thrown.message || tag, afterS: thrown.afterSeconds } };
  }
  return { tag: "retry", val: { reason: described(thrown), afterS: undefined } };
}
