// The build injects this where a bundle uses the global `fetch`. Only then does the component import `landfall:http`.

import { fetch } from "../fetch.js";

export { fetch, fetch as "globalThis.fetch" };
