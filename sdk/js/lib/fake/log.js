import { state } from "./state.js";

export function log(level, message) {
  state.logs.push(`${level}: ${message}`);
}
