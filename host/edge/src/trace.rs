//! The spans of a request: the request itself, and `verify`. If telemetry is off, none is made.

use std::time::{Instant, SystemTime};

use http::Method;
use landfall_hooks::Hook;
use landfall_telemetry::Kind;

use super::caller::Caller;
use super::edge::Edge;
use super::rejection::Rejection;
use super::request_log::Answered;
use landfall_verify::Verdict;

/// The attribute of the hook's name.
const HOOK: &str = "landfall.hook";

impl Edge {
    /// The sender of a request has been checked, since `started`.
    pub(crate) fn trace_verify<T>(
        &self,
        caller: &Caller,
        hook: &Hook,
        started: Instant,
        checked: &Result<(Verdict, T), Rejection>,
    ) {
        let Some(request) = &caller.span else {
            return;
        };

        let (result, key) = match checked {
            Ok((Verdict::Verified(verified), _)) => ("verified", verified.fact("verified-by")),
            Ok((Verdict::Challenge(_), _)) => ("challenge", None),
            Err(_) => ("refused", None),
        };
        let (start, end) = self.since(started);
        let span = request.child().ended("verify", Kind::Internal, start, end);
        let span = span
            .with(HOOK, hook.spec.name.to_string())
            .with("landfall.verify.result", result)
            .with_some("landfall.verify.key", key.map(str::to_owned))
            .failed(checked.is_err().then_some(result));
        self.tracer.record(span);
    }

    /// A request has been answered. It began at `started`.
    pub(crate) fn trace_request(&self, caller: &Caller, started: Instant, answered: &Answered<'_>) {
        let Some(request) = &caller.span else {
            return;
        };

        let method = method(&caller.method);
        let route = answered.hook.map(|hook| hook.spec.path.clone());
        let named = method.unwrap_or("HTTP");
        let name = match &route {
            Some(route) => format!("{named} {route}"),
            None => named.to_owned(),
        };
        let (start, end) = self.since(started);
        let span = request
            .ended(&name, Kind::Server, start, end)
            .with("http.request.method", method.unwrap_or("_OTHER"))
            .with_some("http.route", route)
            .with("http.response.status_code", answered.status)
            .with(
                "http.request.body.size",
                i64::try_from(answered.bytes).unwrap_or(i64::MAX),
            )
            .with_some(
                "client.address",
                caller.address.map(|address| address.to_string()),
            )
            .with_some(HOOK, answered.hook.map(|hook| hook.spec.name.to_string()))
            .with_some(
                "landfall.event.id",
                answered.event.map(|event| event.to_string()),
            )
            .with("landfall.outcome", answered.outcome.word())
            .with_some("landfall.refusal.reason", answered.reason)
            .failed((answered.status >= 500).then_some("5xx"));
        self.tracer.record(span);
    }

    fn since(&self, started: Instant) -> (SystemTime, SystemTime) {
        let end = self.clock.now();
        (end.checked_sub(started.elapsed()).unwrap_or(end), end)
    }
}

/// `None` for a method that HTTP does not define: its text is the caller's.
fn method(method: &Method) -> Option<&'static str> {
    let known = [
        (&Method::GET, "GET"),
        (&Method::HEAD, "HEAD"),
        (&Method::POST, "POST"),
        (&Method::PUT, "PUT"),
        (&Method::PATCH, "PATCH"),
        (&Method::DELETE, "DELETE"),
        (&Method::OPTIONS, "OPTIONS"),
        (&Method::TRACE, "TRACE"),
        (&Method::CONNECT, "CONNECT"),
    ];
    let mut found = known.into_iter().filter(|(one, _)| *one == method);
    found.next().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_methods_have_no_name() {
        assert_eq!(method(&Method::PATCH), Some("PATCH"));
        assert_eq!(method(&"CANARY".parse().unwrap()), None);
    }
}
