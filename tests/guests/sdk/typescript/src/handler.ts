// The same cases as in tests/guests/sdk/python/handler.py. The key `case` of the event's JSON body chooses one of them.

import { Defer, emit, type Event, http, HttpError, json, kv, log, Reject, reply, Retry, settings, table, text } from "landfall-sdk";
import { total } from "./helper";

interface Asked {
  case: string;
  text?: string;
  url?: string;
  urls?: string[];
}

// Packages do such things while they load.
const loadedWith = Math.random();

export default async function onEvent(event: Event) {
  const asked = event.json<Asked>();
  switch (asked.case) {
    case "none":
      return;
    case "text":
      return "hello";
    case "fields":
      return json({
        provider: event.provider === undefined,
        query: event.query.get("q"),
        header: event.headers.get("X-Case"),
        param: event.params["part"],
        year: event.receivedAt.getUTCFullYear() > 2000,
        bytes: event.bytes().length,
      });
    case "throw":
      return json(await total([{ price: 1 }, {} as { price: number }]));
    case "retry":
      throw new Retry("later", { afterSeconds: 3 });
    case "defer":
      throw new Defer("not yet", { afterSeconds: 4 });
    case "reject":
      throw new Reject("never", { reply: reply(409, { error: "conflict" }) });
    case "lost":
      void total([{} as { price: number }]);
      return "the error of the lost promise must not be lost";
    case "hangs":
      return json(await new Promise(() => {}));
    case "settings":
      return json({ all: settings.all(), branch: settings.get("branch"), none: settings.get("no") === undefined });
    case "fetch":
      return json(await fetched(asked.url!));
    case "http-error":
      return json(failed(asked.url!));
    case "send-all":
      return json(http.sendAll(asked.urls!).map((result) => (result instanceof HttpError ? result.kind : result.status)));
    case "effects":
      table.append("pushes", { ref: "main" });
      emit("sink", { json: { case: "text" }, eventType: "made", key: event.id });
      kv.set("bytes", Uint8Array.of(0xff));
      kv.set("five", new TextEncoder().encode("5"));
      kv.setJson("doc", { a: 1 });
      return json({
        number: kv.increment("number"),
        bytes: [...kv.getBytes("bytes")!],
        five: kv.get("five"),
        doc: kv.getJson("doc"),
        none: kv.get("nothing") === undefined,
        keys: kv.listKeys("d"),
        swapped: kv.compareAndSet("lock", undefined, event.id),
      });
    case "log":
      console.debug("a debug line");
      console.log("an info line", { a: [1] });
      console.warn("a warn line");
      log.error("an error line");
      return;
    case "surrogate":
      console.log(asked.text);
      return asked.text;
    case "wrong-type":
      return kv.get(undefined as unknown as string);
    case "random":
      return json([Math.random(), Math.random(), crypto.randomUUID(), loadedWith === Math.random()]);
    case "recurses":
      return json(depth(1));
    case "globals":
      return json(await globals());
    default:
      return text(`unknown: ${asked.case}`, 400);
  }
}

async function fetched(url: string) {
  try {
    const response = await fetch(url, { method: "POST", body: JSON.stringify({ a: 1 }), headers: { "X-From": "sdk" } });
    return response.status;
  } catch (error) {
    if (error instanceof HttpError) return error.kind;
    throw error;
  }
}

function failed(url: string) {
  try {
    return { status: http.send(url).status };
  } catch (error) {
    if (!(error instanceof HttpError)) throw error;
    return { name: error.name, kind: error.kind, message: error.message, nothingWasSent: error.nothingWasSent };
  }
}

async function* numbers() {
  yield 1;
  yield Promise.resolve(2);
}

async function globals() {
  const url = new URL("../b?x=1#f", "https://bücher.example/a/");
  const bytes = new TextEncoder().encode("é€");
  return {
    url: url.href,
    text: new TextDecoder().decode(bytes),
    base64: atob(btoa("abc")),
    clone: structuredClone({ a: [new Date(0)] }),
    fromAsync: await Array.fromAsync(numbers(), async (number) => number * 2),
    drawn: crypto.getRandomValues(new Uint8Array(8)).length,
    timers: thrown(() => setTimeout(() => {}, 1)),
    subtle: thrown(() => (crypto as unknown as { subtle: unknown }).subtle),
  };
}

function depth(above: number): number {
  return depth(above + 1) + 1;
}

function thrown(work: () => unknown): string {
  try {
    work();
    return "";
  } catch (error) {
    return String((error as Error).message).split(":")[0]!;
  }
}

export function responder(event: Event) {
  if (event.json<Asked>().case === "responder-throws") throw new Error("not now");
  return json({ ticket: event.id, random: Math.random() });
}
