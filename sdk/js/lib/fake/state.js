// The fake host of native tests. `landfall-sdk/testing` sets it up; the modules beside this one are the capabilities.

export const state = {};

export function reset() {
  Object.assign(state, {
    settings: {},
    answers: [],
    calls: [],
    logs: [],
    kv: new Map(),
    rows: [],
    emitted: [],
  });
}

reset();

/** An error as the engine throws it. */
export function failed(tag, val) {
  return Object.assign(new Error(val), { payload: { tag, val } });
}
