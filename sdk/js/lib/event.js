// The argument of a handler. The host has verified the event: nothing here checks the sender.

import { Reject } from "./failure.js";
import { formFields } from "./form.js";
import { Headers } from "./headers.js";
import { bytesOf, textOf } from "./payload.js";

export class Event {
  #query;
  #body;

  /** `raw` is the `event` of the contract. The engine passes `null` for what is none. */
  constructor(raw) {
    this.id = raw.id;
    this.hook = raw.hook;
    this.attempt = raw.attempt;
    this.receivedAt = new Date(raw.receivedAt);
    this.provider = raw.provider ?? undefined;
    this.eventType = raw.eventType ?? undefined;
    this.deliveryId = raw.deliveryId ?? undefined;
    this.method = raw.method;
    this.path = raw.path;
    this.headers = Headers.of(raw.headers);
    this.attributes = Object.fromEntries(raw.attributes);
    this.params = {};
    for (const [name, value] of raw.attributes) {
      if (name.startsWith("param:")) this.params[name.slice("param:".length)] = value;
    }
    this.queryString = raw.query ?? undefined;
    this.#body = raw.body;
  }

  get query() {
    return (this.#query ??= new URLSearchParams(this.queryString ?? ""));
  }

  text() {
    const text = textOf(this.#body);
    if (text === undefined) throw new Reject("the body is not UTF-8 text");
    return text;
  }

  bytes() {
    return bytesOf(this.#body);
  }

  json() {
    // Providers such as GitHub can send the document in a field of a form. The host names the field.
    const field = this.attributes["json-form-field"];
    const text = (field === undefined ? undefined : this.form()?.get(field)) ?? this.text();
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new Reject(`the body is not JSON: ${error.message}`, { cause: error });
    }
  }

  form() {
    const fields = formFields(this.headers.get("content-type") ?? "", this.#body);
    return fields && new URLSearchParams(fields);
  }
}
