//! Shows every answer that the contract allows. The key `case` of the event's JSON body chooses one of them. Guests in Rust,
//! TypeScript, Python and C do the same.
//!
//! The bindings are those of C, translated by `zig translate-c`. What the handler returns is allocated with malloc, because they free
//! it. Everything else is freed with the instance, which handles one event.

const std = @import("std");
const c = @import("bindings.zig");

const allocator = std.heap.c_allocator;

/// A panic is a trap. The panic handler of the standard library would import WASI of preview 1.
pub const panic = std.debug.no_panic;

const Event = c.exports_landfall_hook_handler_event_t;
const Reply = c.landfall_event_types_reply_t;

/// The event's JSON body.
const Asked = struct {
    case: []const u8 = "",
    after_s: ?u32 = null,
    fail: bool = false,
    method: []const u8 = "GET",
    url: []const u8 = "",
    urls: []const []const u8 = &.{},
    headers: []const [2][]const u8 = &.{},
    body: ?[]const u8 = null,
    timeout_ms: ?u32 = null,
};

/// How an attempt ends.
const Outcome = union(enum) {
    none,
    reply: Reply,
    retry: Hint,
    later: Hint,
    reject: Rejection,

    const Hint = struct { reason: []const u8, after_s: ?u32 = null };
    const Rejection = struct { reason: []const u8, reply: ?Reply = null };
};

// === Texts and replies ===

/// A copy, allocated with malloc. An allocation without bytes has a pointer outside of the memory, which is a trap for the host.
fn string(text: []const u8) c.bindings_string_t {
    if (text.len == 0) return .{ .ptr = null, .len = 0 };
    const copy = allocator.dupe(u8, text) catch @panic("out of memory");
    return .{ .ptr = copy.ptr, .len = copy.len };
}

fn slice(text: c.bindings_string_t) []const u8 {
    return text.ptr[0..text.len];
}

fn optional(text: c.bindings_option_string_t) ?[]const u8 {
    return if (text.is_some) slice(text.val) else null;
}

fn payload(text: []const u8) c.landfall_event_types_payload_t {
    return .{ .tag = c.LANDFALL_EVENT_TYPES_PAYLOAD_TEXT, .val = .{ .text = string(text) } };
}

fn reply(status: u16, content_type: []const u8, body: []const u8) !Reply {
    const headers = try allocator.alloc(c.bindings_tuple2_string_string_t, 1);
    headers[0] = .{ .f0 = string("content-type"), .f1 = string(content_type) };
    return .{
        .status = status,
        .headers = .{ .ptr = headers.ptr, .len = headers.len },
        .body = payload(body),
    };
}

fn text_reply(body: []const u8) !Outcome {
    return .{ .reply = try reply(200, "text/plain; charset=utf-8", body) };
}

fn json_reply(value: anytype) !Outcome {
    return .{ .reply = try reply(200, "application/json", try std.json.Stringify.valueAlloc(allocator, value, .{})) };
}

// === Calls ===

fn error_name(tag: u8) []const u8 {
    return switch (tag) {
        c.LANDFALL_HTTP_HTTP_HTTP_ERROR_DENIED => "denied",
        c.LANDFALL_HTTP_HTTP_HTTP_ERROR_INVALID => "invalid",
        c.LANDFALL_HTTP_HTTP_HTTP_ERROR_UNAVAILABLE => "unavailable",
        c.LANDFALL_HTTP_HTTP_HTTP_ERROR_UNRESOLVED => "unresolved",
        c.LANDFALL_HTTP_HTTP_HTTP_ERROR_UNREACHABLE => "unreachable",
        c.LANDFALL_HTTP_HTTP_HTTP_ERROR_TLS => "tls",
        c.LANDFALL_HTTP_HTTP_HTTP_ERROR_INTERRUPTED => "interrupted",
        c.LANDFALL_HTTP_HTTP_HTTP_ERROR_TIMEOUT => "timeout",
        c.LANDFALL_HTTP_HTTP_HTTP_ERROR_LIMIT => "limit",
        else => "other",
    };
}

const Call = struct {
    method: []const u8 = "GET",
    url: []const u8,
    headers: []const [2][]const u8 = &.{},
    body: ?[]const u8 = null,
    timeout_ms: ?u32 = null,

    fn request(call: Call) !c.landfall_http_http_request_t {
        const headers = try allocator.alloc(c.bindings_tuple2_string_string_t, call.headers.len);
        for (call.headers, headers) |header, *to| {
            to.* = .{ .f0 = string(header[0]), .f1 = string(header[1]) };
        }
        var made: c.landfall_http_http_request_t = .{
            .method = string(call.method),
            .url = string(call.url),
            .headers = .{ .ptr = if (headers.len == 0) null else headers.ptr, .len = headers.len },
        };
        if (call.body) |body| made.body = .{ .is_some = true, .val = payload(body) };
        if (call.timeout_ms) |timeout| made.timeout_ms = .{ .is_some = true, .val = timeout };
        return made;
    }
};

/// The status, or the name of the error.
const Answer = union(enum) {
    status: u16,
    failed: []const u8,

    pub fn jsonStringify(answer: Answer, writer: anytype) !void {
        switch (answer) {
            .status => |status| try writer.write(status),
            .failed => |name| try writer.write(name),
        }
    }
};

fn send(call: Call) !Answer {
    var request = try call.request();
    var response: c.landfall_http_http_response_t = undefined;
    var failure: c.landfall_http_http_http_error_t = undefined;
    if (c.landfall_http_http_send(&request, &response, &failure)) return .{ .status = response.status };
    return .{ .failed = error_name(failure.tag) };
}

fn sends_all(asked: Asked) !Outcome {
    const requests = try allocator.alloc(c.landfall_http_http_request_t, asked.urls.len);
    for (asked.urls, requests) |url, *request| request.* = try (Call{ .url = url }).request();
    var list: c.landfall_http_http_list_request_t = .{
        .ptr = if (requests.len == 0) null else requests.ptr,
        .len = requests.len,
    };

    var results: c.landfall_http_http_list_result_response_http_error_t = undefined;
    c.landfall_http_http_send_all(&list, &results);

    const answers = try allocator.alloc(Answer, results.len);
    for (results.ptr[0..results.len], answers) |result, *answer| {
        answer.* = if (result.is_err)
            .{ .failed = error_name(result.val.err.tag) }
        else
            .{ .status = result.val.ok.status };
    }
    return json_reply(answers);
}

fn sends_one(asked: Asked) !Outcome {
    const answer = try send(.{
        .method = asked.method,
        .url = asked.url,
        .headers = asked.headers,
        .body = asked.body,
        .timeout_ms = asked.timeout_ms,
    });
    return switch (answer) {
        .status => |status| text_reply(try std.fmt.allocPrint(allocator, "{d}", .{status})),
        .failed => |name| text_reply(name),
    };
}

fn sends_five(event: *const Event, asked: Asked) !Outcome {
    const other = try std.mem.concat(allocator, u8, &.{ asked.url, "?other" });
    const calls = [_]Call{
        .{ .method = "POST", .url = asked.url, .body = "same" },
        .{ .method = "POST", .url = asked.url, .body = "same" },
        .{ .method = "PUT", .url = asked.url, .body = "same" },
        .{ .method = "POST", .url = other, .body = "same" },
        .{ .method = "POST", .url = asked.url, .body = "same", .headers = &.{.{ "idempotency-key", "own" }} },
    };
    var answers: [calls.len]Answer = undefined;
    for (calls, &answers) |call, *answer| {
        answer.* = try send(call);
        if (answer.* == .failed) return .{ .retry = .{ .reason = answer.failed } };
    }
    if (asked.fail and event.attempt == 1) return .{ .retry = .{ .reason = "failed on purpose" } };
    return json_reply(answers);
}

// === The handler ===

const Case = enum { none, text, fields, @"defer", retry, reject, @"reject-reply", @"send-all", @"http-error", keys };

fn is_ready() bool {
    var key = string("ready");
    var value: c.bindings_string_t = undefined;
    return c.landfall_hook_settings_get(&key, &value) and std.mem.eql(u8, slice(value), "true");
}

fn handle(event: *const Event) !Outcome {
    const unknown: Outcome = .{ .reject = .{ .reason = "unknown case" } };
    if (event.body.tag != c.LANDFALL_EVENT_TYPES_PAYLOAD_TEXT) return unknown;
    const options: std.json.ParseOptions = .{ .ignore_unknown_fields = true };
    const asked = std.json.parseFromSliceLeaky(Asked, allocator, slice(event.body.val.text), options) catch return unknown;

    switch (std.meta.stringToEnum(Case, asked.case) orelse return unknown) {
        .none => return .none,
        .text => return text_reply("hello"),
        .fields => return json_reply(.{
            .provider = optional(event.provider),
            .event_type = optional(event.event_type),
            .delivery_id = optional(event.delivery_id),
        }),
        .@"defer" => {
            if (is_ready()) return text_reply("ready");
            return .{ .later = .{ .reason = "not ready", .after_s = asked.after_s } };
        },
        .retry => {
            if (event.attempt == 1) return .{ .retry = .{ .reason = "failed on purpose", .after_s = asked.after_s } };
            return text_reply(try std.fmt.allocPrint(allocator, "attempt {d}", .{event.attempt}));
        },
        .reject => return .{ .reject = .{ .reason = "rejected on purpose" } },
        .@"reject-reply" => return .{ .reject = .{
            .reason = "rejected on purpose",
            .reply = try reply(409, "application/json", "{\"error\":\"conflict\"}"),
        } },
        .@"send-all" => return sends_all(asked),
        .@"http-error" => return sends_one(asked),
        .keys => return sends_five(event, asked),
    }
}

fn hint(from: Outcome.Hint) c.landfall_event_types_retry_hint_t {
    var made: c.landfall_event_types_retry_hint_t = .{ .reason = string(from.reason) };
    if (from.after_s) |after_s| made.after_s = .{ .is_some = true, .val = after_s };
    return made;
}

/// Called by the bindings. Returns true for `ok`.
export fn exports_landfall_hook_handler_handle(
    event: *Event,
    answer: *c.exports_landfall_hook_handler_option_reply_t,
    failure: *c.exports_landfall_hook_handler_failure_t,
) bool {
    answer.is_some = false;
    const outcome = handle(event) catch |err| Outcome{ .retry = .{ .reason = @errorName(err) } };
    switch (outcome) {
        .none => return true,
        .reply => |made| {
            answer.* = .{ .is_some = true, .val = made };
            return true;
        },
        .retry => |from| failure.* = .{
            .tag = c.LANDFALL_EVENT_TYPES_FAILURE_RETRY,
            .val = .{ .retry = hint(from) },
        },
        .later => |from| failure.* = .{
            .tag = c.LANDFALL_EVENT_TYPES_FAILURE_DEFER,
            .val = .{ .@"defer" = hint(from) },
        },
        .reject => |from| {
            var made: c.landfall_event_types_rejection_t = .{ .reason = string(from.reason) };
            if (from.reply) |with| made.reply = .{ .is_some = true, .val = with };
            failure.* = .{ .tag = c.LANDFALL_EVENT_TYPES_FAILURE_REJECT, .val = .{ .reject = made } };
        },
    }
    return false;
}
