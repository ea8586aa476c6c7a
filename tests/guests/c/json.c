#include "json.h"

#include <stdlib.h>
#include <string.h>

// === The reader ===

static const char *skip_space(const char *at, const char *end) {
  while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) at++;
  return at;
}

// The first byte after a string, whose opening quote is at `at`.
static const char *skip_string(const char *at, const char *end) {
  for (at++; at < end && *at != '"'; at++) {
    if (*at == '\\') at++;
  }
  return at < end ? at + 1 : end;
}

// The first byte after a value.
static const char *skip_value(const char *at, const char *end) {
  int depth = 0;
  while (at < end) {
    if (*at == '"') {
      at = skip_string(at, end);
    } else if (*at == '{' || *at == '[') {
      depth++;
      at++;
    } else if (*at == '}' || *at == ']') {
      if (depth == 0) return at;
      depth--;
      at++;
    } else if (*at == ',' && depth == 0) {
      return at;
    } else {
      at++;
      continue;
    }
    if (depth == 0) return at;
  }
  return end;
}

bool json_field(json_t object, const char *key, json_t *value) {
  const char *at = skip_space(object.at, object.end);
  if (at == object.end || *at != '{') return false;
  size_t len = strlen(key);

  for (at = skip_space(at + 1, object.end); at < object.end && *at == '"';) {
    const char *name = at + 1;
    at = skip_string(at, object.end);
    bool is_it = (size_t)(at - 1 - name) == len && memcmp(name, key, len) == 0;
    at = skip_space(at, object.end);
    if (at == object.end || *at != ':') return false;

    value->at = skip_space(at + 1, object.end);
    value->end = at = skip_value(value->at, object.end);
    if (is_it) return value->at < value->end && *value->at != 'n';

    at = skip_space(at, object.end);
    if (at < object.end && *at == ',') at = skip_space(at + 1, object.end);
  }
  return false;
}

bool json_next(json_t *list, json_t *item) {
  const char *at = skip_space(list->at, list->end);
  if (at == list->end || (*at != '[' && *at != ',')) return false;

  item->at = skip_space(at + 1, list->end);
  if (item->at == list->end || *item->at == ']') return false;
  item->end = skip_value(item->at, list->end);
  list->at = item->end;
  return true;
}

static void add_bytes(out_t *out, const char *bytes, size_t len) {
  if (out->len + len > out->room) {
    out->room = (out->len + len) * 2;
    out->bytes = realloc(out->bytes, out->room);
    if (out->bytes == NULL) abort();
  }
  memcpy(out->bytes + out->len, bytes, len);
  out->len += len;
}

static uint32_t hex4(const char *at) {
  uint32_t code = 0;
  for (int i = 0; i < 4; i++) {
    char c = at[i] | 0x20;
    code = code * 16 + (uint32_t)(c >= 'a' ? c - 'a' + 10 : at[i] - '0');
  }
  return code;
}

static void add_utf8(out_t *out, uint32_t code) {
  char bytes[4];
  size_t len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  static const uint8_t first[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
  for (size_t i = len - 1; i > 0; i--) {
    bytes[i] = (char)(0x80 | (code & 0x3f));
    code >>= 6;
  }
  bytes[0] = (char)(first[len] | code);
  add_bytes(out, bytes, len);
}

bool json_text(json_t value, out_t *text) {
  if (value.end - value.at < 2 || *value.at != '"' || value.end[-1] != '"') return false;
  const char *end = value.end - 1;

  for (const char *at = value.at + 1; at < end; at++) {
    if (*at != '\\' || ++at == end) {
      add_bytes(text, at, 1);
      continue;
    }
    static const char escapes[] = "b\bf\fn\nr\rt\t";
    const char *escape = memchr("bfnrt", *at, 5) ? strchr(escapes, *at) : NULL;
    if (escape != NULL) {
      add_bytes(text, escape + 1, 1);
    } else if (*at == 'u' && end - at > 4) {
      uint32_t code = hex4(at + 1);
      at += 4;
      bool is_pair = code >= 0xd800 && code < 0xdc00 && end - at > 6 && at[1] == '\\' && at[2] == 'u';
      if (is_pair) {
        code = 0x10000 + ((code - 0xd800) << 10) + (hex4(at + 3) - 0xdc00);
        at += 6;
      }
      add_utf8(text, code);
    } else {
      add_bytes(text, at, 1);
    }
  }
  return true;
}

bool json_number(json_t value, uint32_t *number) {
  if (value.at == value.end || *value.at < '0' || *value.at > '9') return false;
  *number = 0;
  for (const char *at = value.at; at < value.end && *at >= '0' && *at <= '9'; at++) {
    *number = *number * 10 + (uint32_t)(*at - '0');
  }
  return true;
}

bool json_is_true(json_t value) { return value.at < value.end && *value.at == 't'; }

// === The writer ===

void out_add(out_t *out, const char *text) { add_bytes(out, text, strlen(text)); }

void out_add_number(out_t *out, uint32_t number) {
  char digits[10];
  size_t at = sizeof digits;
  do {
    digits[--at] = (char)('0' + number % 10);
    number /= 10;
  } while (number > 0);
  add_bytes(out, digits + at, sizeof digits - at);
}

void out_add_string(out_t *out, const uint8_t *text, size_t len) {
  add_bytes(out, "\"", 1);
  for (size_t i = 0; i < len; i++) {
    char byte = (char)text[i];
    if (byte == '"' || byte == '\\') {
      add_bytes(out, "\\", 1);
      add_bytes(out, &byte, 1);
    } else if (text[i] < 0x20) {
      static const char hex[] = "0123456789abcdef";
      char escaped[] = {'\\', 'u', '0', '0', hex[text[i] >> 4], hex[text[i] & 15]};
      add_bytes(out, escaped, sizeof escaped);
    } else {
      add_bytes(out, &byte, 1);
    }
  }
  add_bytes(out, "\"", 1);
}
