// `Array.fromAsync`. The one of the engine waits for promises of the engine, whose jobs run after the handler has ended.

import { kindOf } from "../payload.js";

/** The items of an iterable, an async iterable or an array-like object, each awaited. `this` is the class of the list. */
export async function fromAsync(items, map = undefined, thisArg = undefined) {
  if (map !== undefined && typeof map !== "function") throw new TypeError(`the function of Array.fromAsync is ${kindOf(map)}`);
  const isIterable = (items[Symbol.asyncIterator] ?? items[Symbol.iterator]) != null;
  const length = isIterable ? undefined : lengthOf(items);
  const list = newList(this, length);
  let at = 0;
  const add = async (item) => {
    const value = map ? await map.call(thisArg, item, at) : item;
    Object.defineProperty(list, at, { value, writable: true, enumerable: true, configurable: true });
    at += 1;
  };

  if (isIterable) {
    for await (const item of items) await add(item);
  } else {
    while (at < length) await add(await items[at]);
  }
  list.length = at;
  return list;
}

function newList(Kind, length) {
  const values = length === undefined ? [] : [length];
  return isConstructor(Kind) ? new Kind(...values) : new Array(...values);
}

function isConstructor(Kind) {
  try {
    Reflect.construct(Object, [], Kind);
    return true;
  } catch {
    return false;
  }
}

/** The length of an array-like object: a whole number from 0. */
function lengthOf(items) {
  return Math.min(Math.max(Math.trunc(Number(items.length)) || 0, 0), Number.MAX_SAFE_INTEGER);
}
