// Parses the body and answers one field of it.

import { json } from "landfall-sdk";

/** @param {import("landfall-sdk").Event} event */
export default function handle(event) {
  const body = event.json();

  return json({ ref: body.ref });
}
