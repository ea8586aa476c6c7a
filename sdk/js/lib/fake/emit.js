import { state } from "./state.js";

export function emit(emission) {
  const { hook, eventType, headers, body, key, delayS } = emission;
  state.emitted.push({
    hook,
    eventType: eventType ?? undefined,
    headers: Object.fromEntries(headers),
    body: body.val,
    key: key ?? undefined,
    delaySeconds: delayS ?? undefined,
    get json() {
      return JSON.parse(body.val);
    },
  });
  return `019c1234-5678-7abc-8def-${String(state.emitted.length).padStart(12, "0")}`;
}
