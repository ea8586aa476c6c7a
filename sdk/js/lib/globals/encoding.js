// TextEncoder and TextDecoder for UTF-8, as https://encoding.spec.whatwg.org/ describes them.

const REPLACEMENT = 0xfffd;

export class TextEncoder {
  encoding = "utf-8";

  encode(text = "") {
    const source = String(text);
    let bytes = new Uint8Array(source.length + 16);
    let length = 0;
    for (let at = 0; at < source.length; at += 1) {
      let code = source.charCodeAt(at);
      if (code >= 0xd800 && code <= 0xdfff) {
        const low = source.charCodeAt(at + 1);
        if (code <= 0xdbff && low >= 0xdc00 && low <= 0xdfff) {
          code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
          at += 1;
        } else code = REPLACEMENT;
      }
      if (length + 4 > bytes.length) {
        const larger = new Uint8Array(bytes.length * 2 + 4);
        larger.set(bytes);
        bytes = larger;
      }
      if (code < 0x80) bytes[length++] = code;
      else if (code < 0x800) {
        bytes[length++] = 0xc0 | (code >> 6);
        bytes[length++] = 0x80 | (code & 0x3f);
      } else if (code < 0x10000) {
        bytes[length++] = 0xe0 | (code >> 12);
        bytes[length++] = 0x80 | ((code >> 6) & 0x3f);
        bytes[length++] = 0x80 | (code & 0x3f);
      } else {
        bytes[length++] = 0xf0 | (code >> 18);
        bytes[length++] = 0x80 | ((code >> 12) & 0x3f);
        bytes[length++] = 0x80 | ((code >> 6) & 0x3f);
        bytes[length++] = 0x80 | (code & 0x3f);
      }
    }
    return bytes.slice(0, length);
  }

  encodeInto(text, into) {
    let read = 0;
    let written = 0;
    for (const character of String(text)) {
      const bytes = this.encode(character);
      if (written + bytes.length > into.length) break;
      into.set(bytes, written);
      written += bytes.length;
      read += character.length;
    }
    return { read, written };
  }
}

const LABELS = ["utf-8", "utf8", "unicode-1-1-utf-8", "unicode11utf8", "unicode20utf8", "x-unicode20utf8"];

export class TextDecoder {
  encoding = "utf-8";
  #needed = 0;
  #seen = 0;
  #code = 0;
  #lower = 0x80;
  #upper = 0xbf;
  #atStart = true;

  constructor(label = "utf-8", options = {}) {
    if (!LABELS.includes(String(label).trim().toLowerCase())) {
      throw new RangeError(`the encoding "${label}" is not available: only UTF-8 is`);
    }
    this.fatal = Boolean(options.fatal);
    this.ignoreBOM = Boolean(options.ignoreBOM);
  }

  decode(input = new Uint8Array(), options = {}) {
    const bytes = input instanceof Uint8Array ? input : viewOf(input);
    const parts = [];
    let codes = [];
    const put = (code) => {
      codes.push(code);
      if (codes.length < 2048) return;
      parts.push(String.fromCodePoint(...codes));
      codes = [];
    };

    for (let at = 0; at < bytes.length; at += 1) {
      const byte = bytes[at];
      if (this.#needed === 0) {
        this.#start(byte, put);
      } else if (byte < this.#lower || byte > this.#upper) {
        this.#reset();
        this.#malformed(put);
        at -= 1;
      } else {
        this.#lower = 0x80;
        this.#upper = 0xbf;
        this.#code = (this.#code << 6) | (byte & 0x3f);
        this.#seen += 1;
        if (this.#seen === this.#needed) {
          const code = this.#code;
          this.#reset();
          put(code);
        }
      }
    }
    if (!options.stream && this.#needed > 0) {
      this.#reset();
      this.#malformed(put);
    }

    parts.push(String.fromCodePoint(...codes));
    let text = parts.join("");
    if (this.#atStart && text.length > 0) {
      if (!this.ignoreBOM && text.charCodeAt(0) === 0xfeff) text = text.slice(1);
      this.#atStart = false;
    }
    if (!options.stream) this.#atStart = true;
    return text;
  }

  #start(byte, put) {
    if (byte < 0x80) put(byte);
    else if (byte >= 0xc2 && byte <= 0xdf) this.#expect(1, byte & 0x1f);
    else if (byte >= 0xe0 && byte <= 0xef) {
      if (byte === 0xe0) this.#lower = 0xa0;
      if (byte === 0xed) this.#upper = 0x9f;
      this.#expect(2, byte & 0x0f);
    } else if (byte >= 0xf0 && byte <= 0xf4) {
      if (byte === 0xf0) this.#lower = 0x90;
      if (byte === 0xf4) this.#upper = 0x8f;
      this.#expect(3, byte & 0x07);
    } else this.#malformed(put);
  }

  #expect(needed, code) {
    this.#needed = needed;
    this.#code = code;
  }

  #reset() {
    this.#needed = 0;
    this.#seen = 0;
    this.#code = 0;
    this.#lower = 0x80;
    this.#upper = 0xbf;
  }

  #malformed(put) {
    if (this.fatal) {
      this.#atStart = true;
      throw new TypeError("the bytes are not valid UTF-8");
    }
    put(REPLACEMENT);
  }
}

function viewOf(input) {
  if (ArrayBuffer.isView(input)) return new Uint8Array(input.buffer, input.byteOffset, input.byteLength);
  return new Uint8Array(input);
}
