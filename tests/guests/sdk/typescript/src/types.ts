// Wrong uses, which the compiler must refuse. It refuses this file if one of them is no error.

import { Defer, emit, type Event, type Handler, http, HttpError, json, kv, Reject, reply, Retry, settings, table } from "landfall-sdk";

export const right: Handler = async (event) => {
  const { ref } = event.json<{ ref: string }>();
  const response = await fetch("https://a.example/", { signal: AbortSignal.timeout(500) });
  await fetch({ url: "https://a.example/", method: "POST" }, { body: ref });
  const found: string | undefined = kv.get(ref);
  const results: (http.HttpResponse | HttpError)[] = http.sendAll([{ url: "https://a.example/", json: ref }]);
  return results.length > 1 ? reply(200, { found }) : new Response(await response.text(), { status: 200 });
};

export function wrong(event: Event) {
  // @ts-expect-error a handler returns a reply, text or nothing
  const number: Handler = () => 5;
  // @ts-expect-error
  const object: Handler = () => ({ status: 200 });
  // @ts-expect-error there is no such field
  event.provder;
  // @ts-expect-error it can be undefined
  event.eventType.length;
  // @ts-expect-error it is a function
  event.text.length.trim();
  // @ts-expect-error an event does not change
  event.attempt = 2;
  // @ts-expect-error a reason is needed
  new Retry();
  // @ts-expect-error seconds are a number
  new Defer("x", { afterSeconds: "3" });
  // @ts-expect-error a reply is no status
  new Reject("x", { reply: 409 });
  // @ts-expect-error a value is text or bytes
  kv.set("key", 5);
  // @ts-expect-error it can be undefined
  kv.get("key").length;
  // @ts-expect-error a row is an object
  table.append("rows", "row");
  // @ts-expect-error the hook is missing
  emit({ json: {} });
  // @ts-expect-error not an option
  http.send({ url: "https://a.example/", jsn: {} });
  // @ts-expect-error a table has values of unknown types
  settings.all().branch.length;
  // @ts-expect-error a kind that does not exist
  if (new HttpError("denied", "x").kind === "refused") return;
  // @ts-expect-error there is no DOM
  document.title;
  // @ts-expect-error there is no Node.js
  process.env;
  // @ts-expect-error `subtle` is not available
  crypto.subtle;
  return [number, object, json({})];
}
