import { state } from "./state.js";

export function append(table, row) {
  state.rows.push({ table, row: JSON.parse(row) });
}
