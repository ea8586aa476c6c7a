// What stands outside the handler runs once, when the component is built: the host is not there then.

/** `isLoading` is true while the build loads the modules. Native tests never load in this way. */
export const phase = { isLoading: false };

/** Throws if a function of the host is called outside the handler. */
export function inHandler(name) {
  if (!phase.isLoading) return;
  throw new TypeError(`${name} is called outside the handler, when the component is built: call it inside the handler`);
}
