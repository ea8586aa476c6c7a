//! What the tests of this crate share.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use landfall_model::{Event, EventId};

/// An event of the hook `in`, with a proof and an attribute of its check.
pub(crate) fn event(body: &str) -> Event {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    Event {
        id: EventId::numbered(at, 7, 1),
        hook: "in".into(),
        received_at: at,
        method: http::Method::POST,
        path: "/in".into(),
        query: None,
        headers: HeaderMap::new(),
        body: body.to_owned().into(),
        attributes: vec![
            ("provider".into(), "github".into()),
            ("verified-by".into(), "signature#1".into()),
            ("proof".into(), "{}".into()),
        ],
    }
}
