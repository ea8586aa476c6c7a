// Shows every answer that the contract allows. The key `case` of the event's JSON body chooses one of them. Guests in Rust,
// Python and C do the same.

import type { Event, Failure, Reply } from "landfall:hook/handler@0.1.0";
import type { HttpError, Request, Response } from "landfall:http/http@0.1.0";
import { send, sendAll } from "landfall:http/http@0.1.0";
import { get as setting } from "landfall:hook/settings@0.1.0";

type Case = {
  case?: string;
  after_s?: number;
  urls?: string[];
  url?: string;
  method?: string;
  headers?: [string, string][];
  body?: string;
  timeout_ms?: number;
  fail?: boolean;
};

function text(body: string): Reply {
  return { status: 200, headers: [["content-type", "text/plain; charset=utf-8"]], body: { tag: "text", val: body } };
}

function json(status: number, body: unknown): Reply {
  return { status, headers: [["content-type", "application/json"]], body: { tag: "text", val: JSON.stringify(body) } };
}

// A handler fails by throwing a `Failure`. Anything else that it throws is a trap.
function retry(reason: string, afterS?: number): Failure {
  return { tag: "retry", val: { reason, afterS } };
}

function reject(reason: string, reply?: Reply): Failure {
  return { tag: "reject", val: { reason, reply } };
}

function parsed(event: Event): Case {
  if (event.body.tag !== "text") return {};
  try {
    return JSON.parse(event.body.val) ?? {};
  } catch {
    return {};
  }
}

/** A call whose error is a value. An import throws an `Error` whose `payload` is the error of the contract. */
function call(request: Request): { ok: Response } | { error: HttpError } {
  try {
    return { ok: send(request) };
  } catch (thrown) {
    return { error: (thrown as { payload: HttpError }).payload };
  }
}

function sendsAll(urls: string[]): Reply {
  const requests = urls.map((url): Request => ({ method: "GET", url, headers: [] }));
  const results = sendAll(requests);
  return json(200, results.map((result) => (result.tag === "ok" ? result.val.status : result.val.tag)));
}

function sendsOne(asked: Case): Reply {
  const result = call({
    method: asked.method ?? "GET",
    url: asked.url!,
    headers: asked.headers ?? [],
    // None is `null` or `undefined`: always compare with `== null`.
    body: asked.body == null ? undefined : { tag: "text", val: asked.body },
    timeoutMs: asked.timeout_ms,
  });
  return text("ok" in result ? String(result.ok.status) : result.error.tag);
}

function sendsFive(event: Event, asked: Case): Reply {
  const url = asked.url!;
  const calls: [string, string, [string, string][]][] = [
    ["POST", url, []],
    ["POST", url, []],
    ["PUT", url, []],
    ["POST", `${url}?other`, []],
    ["POST", url, [["idempotency-key", "own"]]],
  ];

  const statuses = calls.map(([method, url, headers]) => {
    const result = call({ method, url, headers, body: { tag: "text", val: "same" } });
    if ("error" in result) throw retry(result.error.tag);
    return result.ok.status;
  });

  if (asked.fail && event.attempt === 1) throw retry("failed on purpose");
  return json(200, statuses);
}

function handle(event: Event): Reply | undefined {
  const asked = parsed(event);

  switch (asked.case) {
    case "none":
      return;
    case "text":
      return text("hello");
    case "fields":
      return json(200, {
        provider: event.provider ?? null,
        event_type: event.eventType ?? null,
        delivery_id: event.deliveryId ?? null,
      });
    case "defer":
      if (setting("ready") === "true") return text("ready");
      throw { tag: "defer", val: { reason: "not ready", afterS: asked.after_s } } satisfies Failure;
    case "retry":
      if (event.attempt === 1) throw retry("failed on purpose", asked.after_s);
      return text(`attempt ${event.attempt}`);
    case "reject":
      throw reject("rejected on purpose");
    case "reject-reply":
      throw reject("rejected on purpose", json(409, { error: "conflict" }));
    case "send-all":
      return sendsAll(asked.urls!);
    case "http-error":
      return sendsOne(asked);
    case "keys":
      return sendsFive(event, asked);
    default:
      throw reject("unknown case");
  }
}

export const handler = { handle };
