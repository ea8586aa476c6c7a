// Promises whose jobs the component runs itself. A call into the component is synchronous, and the engine runs its own jobs only
// afterwards, so the build turns `async` functions into generators over this class.

const jobs = [];
const rejected = new Set();

/** Runs a job after the current one. */
export function enqueue(job) {
  jobs.push(job);
}

/** Runs all jobs, also those that the jobs add. */
export function drain() {
  for (let at = 0; at < jobs.length; at += 1) jobs[at]();
  jobs.length = 0;
}

/** The reason of a rejected promise that nothing has handled, in a list. */
export function unhandled() {
  const reasons = [...rejected].map((promise) => promise.reason);
  rejected.clear();
  return reasons;
}

export class LandfallPromise {
  #state = "pending";
  #value;
  #waiting = [];
  #handled = false;

  constructor(executor) {
    if (typeof executor !== "function") throw new TypeError("a promise is made with a function");
    let done = false;
    const once = (settle) => (value) => {
      if (done) return;
      done = true;
      settle(value);
    };
    const reject = (reason) => this.#settle("rejected", reason);
    try {
      executor(
        once((value) => this.#resolve(value)),
        once(reject),
      );
    } catch (error) {
      once(reject)(error);
    }
  }

  get state() {
    return this.#state;
  }

  get reason() {
    return this.#value;
  }

  get [Symbol.toStringTag]() {
    return "Promise";
  }

  #resolve(value) {
    if (value === this) {
      this.#settle("rejected", new TypeError("a promise cannot be resolved with itself"));
      return;
    }
    let then;
    try {
      then = value !== null && (typeof value === "object" || typeof value === "function") ? value.then : undefined;
    } catch (error) {
      this.#settle("rejected", error);
      return;
    }
    if (typeof then !== "function") {
      this.#settle("fulfilled", value);
      return;
    }
    enqueue(() => {
      let done = false;
      const once = (settle) => (result) => {
        if (done) return;
        done = true;
        settle(result);
      };
      const reject = once((reason) => this.#settle("rejected", reason));
      try {
        then.call(
          value,
          once((result) => this.#resolve(result)),
          reject,
        );
      } catch (error) {
        reject(error);
      }
    });
  }

  #settle(state, value) {
    if (this.#state !== "pending") return;
    this.#state = state;
    this.#value = value;
    if (state === "rejected" && !this.#handled) rejected.add(this);
    for (const job of this.#waiting) enqueue(job);
    this.#waiting = [];
  }

  then(onFulfilled, onRejected) {
    this.#handled = true;
    rejected.delete(this);
    const Kind = this.constructor?.[Symbol.species] ?? LandfallPromise;
    return new Kind((resolve, reject) => {
      const job = () => {
        const isFulfilled = this.#state === "fulfilled";
        const react = isFulfilled ? onFulfilled : onRejected;
        if (typeof react !== "function") {
          if (isFulfilled) resolve(this.#value);
          else reject(this.#value);
          return;
        }
        try {
          resolve(react(this.#value));
        } catch (error) {
          reject(error);
        }
      };
      if (this.#state === "pending") this.#waiting.push(job);
      else enqueue(job);
    });
  }

  catch(onRejected) {
    return this.then(undefined, onRejected);
  }

  finally(last) {
    if (typeof last !== "function") return this.then(last, last);
    return this.then(
      (value) => LandfallPromise.resolve(last()).then(() => value),
      (reason) =>
        LandfallPromise.resolve(last()).then(() => {
          throw reason;
        }),
    );
  }

  static get [Symbol.species]() {
    return this;
  }

  static resolve(value) {
    return value instanceof LandfallPromise ? value : new this((resolve) => resolve(value));
  }

  static reject(reason) {
    return new this((_, reject) => reject(reason));
  }

  static withResolvers() {
    let resolve;
    let reject;
    const promise = new this((first, second) => {
      resolve = first;
      reject = second;
    });
    return { promise, resolve, reject };
  }

  static try(work, ...values) {
    return new this((resolve) => resolve(work(...values)));
  }

  static all(values) {
    return gather(this, values, (results, settle) => (promise, at) =>
      promise.then((value) => settle.put(results, at, value), settle.reject),
    );
  }

  static allSettled(values) {
    return gather(this, values, (results, settle) => (promise, at) =>
      promise.then(
        (value) => settle.put(results, at, { status: "fulfilled", value }),
        (reason) => settle.put(results, at, { status: "rejected", reason }),
      ),
    );
  }

  static any(values) {
    return gather(
      this,
      values,
      (results, settle) => (promise, at) =>
        promise.then(settle.resolve, (reason) => settle.put(results, at, reason)),
      (reasons) => {
        throw new AggregateError(reasons, "all promises were rejected");
      },
    );
  }

  static race(values) {
    return new this((resolve, reject) => {
      for (const value of values) this.resolve(value).then(resolve, reject);
    });
  }
}

/** A promise of a list of results. `end` turns the complete list into the value. */
function gather(Kind, values, follow, end = (results) => results) {
  return new Kind((resolve, reject) => {
    const all = [...values];
    const results = new Array(all.length);
    let missing = all.length;
    const finish = () => {
      try {
        resolve(end(results));
      } catch (error) {
        reject(error);
      }
    };
    const put = (list, at, value) => {
      list[at] = value;
      missing -= 1;
      if (missing === 0) finish();
    };
    if (missing === 0) {
      finish();
      return;
    }
    const one = follow(results, { put, resolve, reject });
    all.forEach((value, at) => one(Kind.resolve(value), at));
  });
}
