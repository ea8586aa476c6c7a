// Shows every answer that the contract allows. The key `case` of the event's JSON body chooses one of them. Guests in Rust,
// TypeScript and Python do the same.
//
// What the handler returns must be allocated with malloc, because the bindings free it. Everything else is freed with the instance,
// which handles one event.

#include <stdlib.h>
#include <string.h>

#include "bindings.h"
#include "json.h"

typedef exports_landfall_hook_handler_event_t event_t;
typedef exports_landfall_hook_handler_failure_t failure_t;
typedef exports_landfall_hook_handler_option_reply_t answer_t;
typedef landfall_event_types_reply_t reply_t;
typedef landfall_http_http_http_error_t http_error_t;
typedef landfall_http_http_request_t request_t;
typedef landfall_http_http_response_t response_t;

static bindings_string_t string_of(const char *text) {
  bindings_string_t string;
  bindings_string_dup(&string, text);
  return string;
}

static bindings_string_t string_of_out(out_t out) {
  return (bindings_string_t){.ptr = (uint8_t *)out.bytes, .len = out.len};
}

// === Answers. Each returns what `handle` returns: true for `ok`. ===

static reply_t reply_of(uint16_t status, const char *content_type, out_t body) {
  bindings_tuple2_string_string_t *header = malloc(sizeof *header);
  header->f0 = string_of("content-type");
  header->f1 = string_of(content_type);
  return (reply_t){
      .status = status,
      .headers = {.ptr = header, .len = 1},
      .body = {.tag = LANDFALL_EVENT_TYPES_PAYLOAD_TEXT, .val.text = string_of_out(body)},
  };
}

static reply_t json_reply(uint16_t status, out_t body) { return reply_of(status, "application/json", body); }

static bool ok(answer_t *answer, reply_t reply) {
  answer->is_some = true;
  answer->val = reply;
  return true;
}

static bool text_out(answer_t *answer, out_t body) {
  return ok(answer, reply_of(200, "text/plain; charset=utf-8", body));
}

static bool text(answer_t *answer, const char *body) {
  out_t out = {0};
  out_add(&out, body);
  return text_out(answer, out);
}

static bool try_later(failure_t *failure, uint8_t tag, const char *reason, const json_t *after_s) {
  landfall_event_types_retry_hint_t hint = {.reason = string_of(reason)};
  hint.after_s.is_some = after_s != NULL && json_number(*after_s, &hint.after_s.val);
  failure->tag = tag;
  if (tag == LANDFALL_EVENT_TYPES_FAILURE_DEFER) {
    failure->val.defer = hint;
  } else {
    failure->val.retry = hint;
  }
  return false;
}

static bool retry(failure_t *failure, const char *reason, const json_t *after_s) {
  return try_later(failure, LANDFALL_EVENT_TYPES_FAILURE_RETRY, reason, after_s);
}

static bool reject(failure_t *failure, const char *reason) {
  failure->tag = LANDFALL_EVENT_TYPES_FAILURE_REJECT;
  failure->val.reject = (landfall_event_types_rejection_t){.reason = string_of(reason)};
  return false;
}

// === Calls ===

// The names of the cases of `http-error`, by tag.
static const char *const ERRORS[] = {
    [LANDFALL_HTTP_HTTP_HTTP_ERROR_DENIED] = "denied",
    [LANDFALL_HTTP_HTTP_HTTP_ERROR_INVALID] = "invalid",
    [LANDFALL_HTTP_HTTP_HTTP_ERROR_UNAVAILABLE] = "unavailable",
    [LANDFALL_HTTP_HTTP_HTTP_ERROR_UNRESOLVED] = "unresolved",
    [LANDFALL_HTTP_HTTP_HTTP_ERROR_UNREACHABLE] = "unreachable",
    [LANDFALL_HTTP_HTTP_HTTP_ERROR_TLS] = "tls",
    [LANDFALL_HTTP_HTTP_HTTP_ERROR_INTERRUPTED] = "interrupted",
    [LANDFALL_HTTP_HTTP_HTTP_ERROR_TIMEOUT] = "timeout",
    [LANDFALL_HTTP_HTTP_HTTP_ERROR_LIMIT] = "limit",
    [LANDFALL_HTTP_HTTP_HTTP_ERROR_OTHER] = "other",
};

static bindings_string_t string_field(json_t asked, const char *key, const char *otherwise) {
  json_t value;
  out_t out = {0};
  if (!json_field(asked, key, &value) || !json_text(value, &out)) out_add(&out, otherwise);
  return string_of_out(out);
}

static void set_body(request_t *request, bindings_string_t body) {
  request->body.is_some = true;
  request->body.val.tag = LANDFALL_EVENT_TYPES_PAYLOAD_TEXT;
  request->body.val.val.text = body;
}

// A list of `[name, value]`, in memory for at most `len` headers.
static void set_headers(request_t *request, json_t list, size_t len) {
  request->headers.ptr = malloc(len * sizeof *request->headers.ptr);
  json_t header, name, value;
  while (request->headers.len < len && json_next(&list, &header)) {
    bindings_tuple2_string_string_t *to = &request->headers.ptr[request->headers.len++];
    out_t texts[2] = {0};
    if (json_next(&header, &name)) json_text(name, &texts[0]);
    if (json_next(&header, &value)) json_text(value, &texts[1]);
    to->f0 = string_of_out(texts[0]);
    to->f1 = string_of_out(texts[1]);
  }
}

static bool sends_all(json_t asked, answer_t *answer) {
  json_t urls = {0}, url;
  json_field(asked, "urls", &urls);
  landfall_http_http_list_request_t requests = {0};
  while (json_next(&urls, &url)) {
    out_t out = {0};
    json_text(url, &out);
    requests.ptr = realloc(requests.ptr, (requests.len + 1) * sizeof *requests.ptr);
    requests.ptr[requests.len++] = (request_t){.method = string_of("GET"), .url = string_of_out(out)};
  }

  landfall_http_http_list_result_response_http_error_t results;
  landfall_http_http_send_all(&requests, &results);

  out_t body = {0};
  out_add(&body, "[");
  for (size_t i = 0; i < results.len; i++) {
    if (i > 0) out_add(&body, ",");
    if (results.ptr[i].is_err) {
      const char *name = ERRORS[results.ptr[i].val.err.tag];
      out_add_string(&body, (const uint8_t *)name, strlen(name));
    } else {
      out_add_number(&body, results.ptr[i].val.ok.status);
    }
  }
  out_add(&body, "]");
  return ok(answer, json_reply(200, body));
}

static bool sends_one(json_t asked, answer_t *answer) {
  request_t request = {
      .method = string_field(asked, "method", "GET"),
      .url = string_field(asked, "url", ""),
  };
  json_t value;
  if (json_field(asked, "headers", &value)) set_headers(&request, value, 16);
  if (json_field(asked, "body", &value)) set_body(&request, string_field(asked, "body", ""));
  request.timeout_ms.is_some =
      json_field(asked, "timeout_ms", &value) && json_number(value, &request.timeout_ms.val);

  response_t response;
  http_error_t error;
  if (!landfall_http_http_send(&request, &response, &error)) return text(answer, ERRORS[error.tag]);
  out_t status = {0};
  out_add_number(&status, response.status);
  return text_out(answer, status);
}

static bool sends_five(const event_t *event, json_t asked, answer_t *answer, failure_t *failure) {
  static const struct {
    const char *method, *query, *headers;
  } calls[] = {
      {"POST", "", "[]"},
      {"POST", "", "[]"},
      {"PUT", "", "[]"},
      {"POST", "?other", "[]"},
      {"POST", "", "[[\"idempotency-key\", \"own\"]]"},
  };

  out_t body = {0};
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
    json_t field, headers = {calls[i].headers, calls[i].headers + strlen(calls[i].headers)};
    out_t url = {0};
    if (json_field(asked, "url", &field)) json_text(field, &url);
    out_add(&url, calls[i].query);
    request_t request = {.method = string_of(calls[i].method), .url = string_of_out(url)};
    set_headers(&request, headers, 1);
    set_body(&request, string_of("same"));

    response_t response;
    http_error_t error;
    if (!landfall_http_http_send(&request, &response, &error)) return retry(failure, ERRORS[error.tag], NULL);
    out_add(&body, i == 0 ? "[" : ",");
    out_add_number(&body, response.status);
  }
  out_add(&body, "]");

  json_t fail;
  bool fails = json_field(asked, "fail", &fail) && json_is_true(fail);
  if (fails && event->attempt == 1) return retry(failure, "failed on purpose", NULL);
  return ok(answer, json_reply(200, body));
}

// === The handler ===

static void add_field(out_t *body, const char *key, const bindings_option_string_t *value) {
  out_add(body, key);
  if (value->is_some) {
    out_add_string(body, value->val.ptr, value->val.len);
  } else {
    out_add(body, "null");
  }
}

static bool fields(const event_t *event, answer_t *answer) {
  out_t body = {0};
  add_field(&body, "{\"provider\":", &event->provider);
  add_field(&body, ",\"event_type\":", &event->event_type);
  add_field(&body, ",\"delivery_id\":", &event->delivery_id);
  out_add(&body, "}");
  return ok(answer, json_reply(200, body));
}

static bool is_ready(void) {
  bindings_string_t key = string_of("ready"), value;
  return landfall_hook_settings_get(&key, &value) && value.len == 4 && memcmp(value.ptr, "true", 4) == 0;
}

bool exports_landfall_hook_handler_handle(event_t *event, answer_t *ret, failure_t *err) {
  json_t asked = {0}, value, after_s;
  if (event->body.tag == LANDFALL_EVENT_TYPES_PAYLOAD_TEXT) {
    asked.at = (const char *)event->body.val.text.ptr;
    asked.end = asked.at + event->body.val.text.len;
  }
  out_t name = {0};
  if (json_field(asked, "case", &value)) json_text(value, &name);
  out_add(&name, "");
  const json_t *after = json_field(asked, "after_s", &after_s) ? &after_s : NULL;
  ret->is_some = false;

#define IS(text) (name.len == sizeof text - 1 && memcmp(name.bytes, text, name.len) == 0)
  if (IS("none")) return true;
  if (IS("text")) return text(ret, "hello");
  if (IS("fields")) return fields(event, ret);
  if (IS("defer")) {
    if (is_ready()) return text(ret, "ready");
    return try_later(err, LANDFALL_EVENT_TYPES_FAILURE_DEFER, "not ready", after);
  }
  if (IS("retry")) {
    if (event->attempt == 1) return retry(err, "failed on purpose", after);
    out_t body = {0};
    out_add(&body, "attempt ");
    out_add_number(&body, event->attempt);
    return text_out(ret, body);
  }
  if (IS("reject")) return reject(err, "rejected on purpose");
  if (IS("reject-reply")) {
    out_t body = {0};
    out_add(&body, "{\"error\":\"conflict\"}");
    reject(err, "rejected on purpose");
    err->val.reject.reply.is_some = true;
    err->val.reject.reply.val = json_reply(409, body);
    return false;
  }
  if (IS("send-all")) return sends_all(asked, ret);
  if (IS("http-error")) return sends_one(asked, ret);
  if (IS("keys")) return sends_five(event, asked, ret, err);
  return reject(err, "unknown case");
}
