// Signals for `fetch`. Nothing runs beside a handler, so only `AbortSignal.timeout` and a signal that is aborted before the call matter.

export class AbortSignal {
  aborted = false;
  reason = undefined;
  onabort = null;
  /** The limit that `fetch` hands to the host. */
  timeoutMs = undefined;
  #listeners = [];

  static timeout(milliseconds) {
    const signal = new AbortSignal();
    signal.timeoutMs = milliseconds;
    return signal;
  }

  static abort(reason = new DOMException("the call was aborted", "AbortError")) {
    const signal = new AbortSignal();
    signal.aborted = true;
    signal.reason = reason;
    return signal;
  }

  static any(signals) {
    const all = [...signals];
    const aborted = all.find((signal) => signal.aborted);
    if (aborted) return AbortSignal.abort(aborted.reason);
    const limits = all.map((signal) => signal.timeoutMs).filter((limit) => limit != null);
    return limits.length > 0 ? AbortSignal.timeout(Math.min(...limits)) : new AbortSignal();
  }

  throwIfAborted() {
    if (this.aborted) throw this.reason;
  }

  addEventListener(type, listener) {
    if (type === "abort") this.#listeners.push(listener);
  }

  removeEventListener(type, listener) {
    this.#listeners = this.#listeners.filter((known) => known !== listener);
  }

  /** For `AbortController`. */
  fire(reason) {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    const event = { type: "abort", target: this };
    this.onabort?.(event);
    for (const listener of this.#listeners) (listener.handleEvent ?? listener).call(this, event);
  }
}

export class AbortController {
  signal = new AbortSignal();

  abort(reason = new DOMException("the call was aborted", "AbortError")) {
    this.signal.fire(reason);
  }
}
