import { state } from "./state.js";

export function get(key) {
  const value = Object.hasOwn(state.settings, key) ? state.settings[key] : undefined;
  return value === undefined || typeof value === "string" ? (value ?? null) : JSON.stringify(value);
}

export function all() {
  return JSON.stringify(state.settings);
}
