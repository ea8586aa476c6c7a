//! Notifications from other nodes that an event was queued. They only save time, since every node
//! also polls.

use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_postgres::AsyncMessage;

use super::connect::Connector;

/// The time before it connects again.
const PAUSE: Duration = Duration::from_secs(2);

/// Listens until the receiver is dropped.
pub(super) async fn listen(connector: Connector, hints: mpsc::Sender<String>) {
    while !hints.is_closed() {
        if let Err(error) = listen_once(&connector, &hints).await {
            tracing::debug!(%error, "no notifications from other nodes: this node polls");
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = hints.closed() => return,
        }
    }
}

/// Listens on one connection until it fails.
async fn listen_once(
    connector: &Connector,
    hints: &mpsc::Sender<String>,
) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = connector.connect().await?;
    let mut connection = pin!(connection);
    // The connection must be driven for the client's statement to go out.
    let mut listens = pin!(client.batch_execute("LISTEN landfall"));
    let mut is_listening = false;
    loop {
        let message = tokio::select! {
            message = poll_fn(|context| connection.as_mut().poll_message(context)) => message,
            done = &mut listens, if !is_listening => {
                done?;
                is_listening = true;
                continue;
            }
            () = hints.closed() => return Ok(()),
        };
        match message {
            // If the queue is full, the notification is dropped: polling finds the event.
            Some(Ok(AsyncMessage::Notification(hint))) => {
                drop(hints.try_send(hint.payload().to_owned()))
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error),
            None => return Ok(()),
        }
    }
}
