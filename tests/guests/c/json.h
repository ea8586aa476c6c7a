// As much JSON as a small guest needs: a reader that looks values up in a text, and a writer.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A part of a text: one JSON value, or what is left of a list.
typedef struct {
  const char *at;
  const char *end;
} json_t;

// Bytes that grow. `bytes` is allocated with malloc.
typedef struct {
  char *bytes;
  size_t len;
  size_t room;
} out_t;

// The value of a key. False if `object` is no object or has no such key, or if the value is `null`.
bool json_field(json_t object, const char *key, json_t *value);

// The next item of a list, which starts with the whole value. False at its end, and if it is no list.
bool json_next(json_t *list, json_t *item);

// The text of a string, allocated with malloc. False if the value is no string.
bool json_text(json_t value, out_t *text);

// A whole number that is not negative. False if the value is no such number.
bool json_number(json_t value, uint32_t *number);

bool json_is_true(json_t value);

// Adds the bytes of a string literal or a name.
void out_add(out_t *out, const char *text);

void out_add_number(out_t *out, uint32_t number);

// Adds a JSON string.
void out_add_string(out_t *out, const uint8_t *text, size_t len);
