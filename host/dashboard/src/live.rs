//! Fragments of pages, sent as server-sent events whenever they change.

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use crate::page::refuse;
use crate::session::Session;
use crate::state::Shared;

/// How often a fragment is rendered.
const INTERVAL: Duration = Duration::from_secs(1);
/// A proxy may close a connection that is silent.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Sends the fragment that `render` returns, until the session ends. A fragment that cannot be
/// rendered now is left out.
pub(crate) fn stream<R, F>(dashboard: Shared, session: Session, render: R) -> Response
where
    R: Fn() -> F + Send + 'static,
    F: Future<Output = Option<String>> + Send + 'static,
{
    let Ok(permit) = dashboard.streams.clone().try_acquire_owned() else {
        let text = "too many pages are updated live: close some";
        return refuse(StatusCode::SERVICE_UNAVAILABLE, text);
    };

    let state = (render, dashboard, session, permit, (true, None::<u64>));
    let fragments = stream::unfold(state, |state| async move {
        let (render, dashboard, session, permit, (mut is_first, mut last)) = state;
        loop {
            if !is_first {
                tokio::time::sleep(INTERVAL).await;
            }
            is_first = false;
            if !dashboard.is_open(&session) {
                return None;
            }

            let fragment = render();
            if let Some(html) = fragment.await {
                let present = digest(&html);
                if last != Some(present) {
                    last = Some(present);
                    // A carriage return would end the line of the event.
                    let html = html.replace('\r', "&#13;");
                    let event = Event::default().event("fragment").data(html);
                    let state = (render, dashboard, session, permit, (is_first, last));
                    return Some((Ok::<_, Infallible>(event), state));
                }
            }
        }
    });

    Sse::new(fragments)
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response()
}

fn digest(html: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    html.hash(&mut hasher);
    hasher.finish()
}
