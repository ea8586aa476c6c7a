// The beginning of a text, for reasons.

/** The most characters of a text that a reason repeats. */
const CHARACTERS_MAX = 200;

const CONTROL = /[\u0000-\u001f\u007f-\u009f]/g;
const ESCAPES = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** The first characters of a text on one line: control characters are escaped, and `…` follows if something is left out. */
export function excerpt(text) {
  // A character has at most two code units.
  const characters = [...text.trim().slice(0, 2 * CHARACTERS_MAX + 2)];
  const first = characters.slice(0, CHARACTERS_MAX).join("").replace(CONTROL, escaped);
  return characters.length > CHARACTERS_MAX ? `${first}…` : first;
}

function escaped(character) {
  return ESCAPES[character] ?? `\\u{${character.charCodeAt(0).toString(16)}}`;
}
