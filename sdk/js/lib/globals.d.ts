// Globals that the SDK gives to a handler. tsconfig.json must not have the library `dom`, which has other globals.

import type { Body, Headers as SdkHeaders, HeadersInit } from "./index.js";

declare global {
  interface Console {
    trace(...values: unknown[]): void;
    debug(...values: unknown[]): void;
    log(...values: unknown[]): void;
    info(...values: unknown[]): void;
    warn(...values: unknown[]): void;
    error(...values: unknown[]): void;
    dir(value: unknown): void;
    table(value: unknown): void;
    assert(condition: unknown, ...values: unknown[]): void;
    group(...values: unknown[]): void;
    groupCollapsed(...values: unknown[]): void;
    groupEnd(): void;
    count(label?: string): void;
    countReset(label?: string): void;
    time(label?: string): void;
    timeLog(label?: string, ...values: unknown[]): void;
    timeEnd(label?: string): void;
  }
  /** Each call is a log line of the attempt. */
  var console: Console;

  interface ArrayConstructor {
    /** The items of an iterable, an async iterable or an array-like object, each awaited. */
    fromAsync<T>(items: AsyncIterable<T> | Iterable<T | PromiseLike<T>> | ArrayLike<T | PromiseLike<T>>): Promise<T[]>;
    fromAsync<T, U>(
      items: AsyncIterable<T> | Iterable<T> | ArrayLike<T>,
      map: (value: Awaited<T>, index: number) => U,
      thisArg?: unknown,
    ): Promise<Awaited<U>[]>;
  }

  interface TextEncoder {
    readonly encoding: "utf-8";
    encode(text?: string): Uint8Array;
    encodeInto(text: string, into: Uint8Array): { read: number; written: number };
  }
  var TextEncoder: { prototype: TextEncoder; new (): TextEncoder };

  interface TextDecoder {
    readonly encoding: "utf-8";
    readonly fatal: boolean;
    readonly ignoreBOM: boolean;
    decode(input?: ArrayBuffer | ArrayBufferView, options?: { stream?: boolean }): string;
  }
  /** Only UTF-8. */
  var TextDecoder: { prototype: TextDecoder; new (label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean }): TextDecoder };

  interface URLSearchParams extends Iterable<[string, string]> {
    readonly size: number;
    append(name: string, value: string): void;
    delete(name: string, value?: string): void;
    get(name: string): string | null;
    getAll(name: string): string[];
    has(name: string, value?: string): boolean;
    set(name: string, value: string): void;
    sort(): void;
    forEach(callback: (value: string, name: string, params: URLSearchParams) => void): void;
    entries(): IterableIterator<[string, string]>;
    keys(): IterableIterator<string>;
    values(): IterableIterator<string>;
    toString(): string;
  }
  var URLSearchParams: {
    prototype: URLSearchParams;
    new (init?: string | URLSearchParams | Record<string, string> | Iterable<readonly [string, string]>): URLSearchParams;
  };

  interface URL {
    href: string;
    readonly origin: string;
    protocol: string;
    username: string;
    password: string;
    host: string;
    hostname: string;
    port: string;
    pathname: string;
    search: string;
    readonly searchParams: URLSearchParams;
    hash: string;
    toString(): string;
    toJSON(): string;
  }
  var URL: {
    prototype: URL;
    new (url: string | URL, base?: string | URL): URL;
    canParse(url: string | URL, base?: string | URL): boolean;
    parse(url: string | URL, base?: string | URL): URL | null;
  };

  /** Random numbers of the host. `subtle` is not available. */
  var crypto: {
    getRandomValues<T extends ArrayBufferView>(array: T): T;
    randomUUID(): `${string}-${string}-${string}-${string}-${string}`;
  };

  interface AbortSignal {
    readonly aborted: boolean;
    readonly reason: unknown;
    throwIfAborted(): void;
    addEventListener(type: "abort", listener: () => void): void;
    removeEventListener(type: "abort", listener: () => void): void;
  }
  var AbortSignal: {
    prototype: AbortSignal;
    /** The limit of a call of `fetch`. */
    timeout(milliseconds: number): AbortSignal;
    abort(reason?: unknown): AbortSignal;
    any(signals: Iterable<AbortSignal>): AbortSignal;
  };
  var AbortController: { new (): { readonly signal: AbortSignal; abort(reason?: unknown): void } };

  interface Headers extends SdkHeaders {}
  var Headers: { prototype: Headers; new (init?: HeadersInit): Headers };

  interface RequestInit {
    method?: string;
    headers?: HeadersInit;
    body?: Body | ArrayBufferView | URLSearchParams | null;
    signal?: AbortSignal | null;
    /** The limit of the call; the same as `signal: AbortSignal.timeout(…)`. */
    timeoutMs?: number;
  }

  interface Response {
    readonly ok: boolean;
    readonly status: number;
    readonly statusText: string;
    readonly headers: Headers;
    readonly url: string;
    readonly bodyUsed: boolean;
    text(): Promise<string>;
    json(): Promise<any>;
    bytes(): Promise<Uint8Array>;
    arrayBuffer(): Promise<ArrayBuffer>;
    clone(): Response;
  }
  var Response: {
    prototype: Response;
    new (body?: RequestInit["body"], init?: { status?: number; statusText?: string; headers?: HeadersInit }): Response;
    json(value: unknown, init?: { status?: number; headers?: HeadersInit }): Response;
  };

  /** An outbound call. Without a response it throws an `HttpError`. Options of `init` replace those of a request. */
  function fetch(request: string | URL | (RequestInit & { url: string | URL }), init?: RequestInit): Promise<Response>;

  function atob(text: string): string;
  function btoa(text: string): string;
  function queueMicrotask(job: () => void): void;
  function structuredClone<T>(value: T): T;
  /** Not available: it throws. Throw a `Retry` or a `Defer` with `afterSeconds` instead. */
  function setTimeout(callback: () => void, milliseconds?: number): never;
  /** Not available: it throws. */
  function setInterval(callback: () => void, milliseconds?: number): never;
  var performance: { now(): number };
}
