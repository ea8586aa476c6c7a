/** Something that the author can correct. The message is the whole output. */
export class Problem extends Error {}
