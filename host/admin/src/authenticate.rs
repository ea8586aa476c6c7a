//! Lets in requests with a token of this node, and answers any other with the reason.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use landfall_model::Peer;

use crate::api::audit::{Change, FOREIGN, RefusedChange};
use crate::api::command::Frame;
use crate::api::unknown::asked;
use crate::guard::{Allowed, Guard};
use crate::presented_token::PresentedToken;
use crate::refused::Refused;
use crate::role::Caller;

/// Passes on a request with a token of this node.
pub(crate) async fn authenticate(
    State((guard, frame)): State<(Guard, Frame)>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<Peer>();
    let client = peer.map(|Peer(peer)| peer.ip().to_canonical());
    if let Err(why) = guard.check_sender(&request) {
        if let Some(detail) = asked(request.method(), request.uri().path()) {
            let change = Change::new(FOREIGN, None, &detail);
            record_foreign(&frame, client, change, &why).await;
        }
        return guard.refuse(why, client);
    }

    let checked = guard.check_token_in_turn(request.headers(), client).await;
    let Allowed { role, digest } = match checked {
        Ok(allowed) => allowed,
        Err(why) => return guard.refuse(why, client),
    };

    let caller = Caller::new(role, &digest, client).through(request.headers());
    let extensions = request.extensions_mut();
    extensions.insert(caller);
    extensions.insert(PresentedToken::new(guard, digest));
    next.run(request).await
}

/// Stores an entry for a change that a refused sender asked for. Its token was not checked.
async fn record_foreign(frame: &Frame, client: Option<IpAddr>, change: Change, why: &Refused) {
    let refused = RefusedChange::new(why.status.as_u16(), &why.detail);
    let caller = Caller::unknown(client);
    frame.record_foreign(&caller, change, refused).await;
}
