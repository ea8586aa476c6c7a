//! What a JetStream server promises.

use async_nats::jetstream::stream::StorageType;
use landfall_egress::Client;

use super::stream::Stream;

/// The stream, and how durable it is.
pub(super) async fn describe(stream: &Stream, monitor: Option<&Client>) -> Vec<String> {
    let name = &stream.spec.stream;
    let found = match stream.context.get_stream(name).await {
        Ok(found) => found,
        Err(error) => {
            let fact = format!("NATS JetStream: stream {name} cannot be asked: {error}");
            return vec![fact, stream.seal.describe()];
        }
    };

    let info = found.cached_info();
    let storage = match info.config.storage {
        StorageType::File => "on disk",
        StorageType::Memory => "in memory: accepted events are lost when the server stops",
    };
    let (replicas, waiting) = (info.config.num_replicas, info.state.messages);
    vec![
        format!(
            "NATS JetStream: stream {name}, replicas {replicas}, {storage}, {waiting} events wait"
        ),
        describe_sync(stream, monitor, replicas).await,
        stream.seal.describe(),
    ]
}

async fn describe_sync(stream: &Stream, monitor: Option<&Client>, replicas: usize) -> String {
    match syncs_every_write(stream, monitor).await {
        Sync::Always => "the server syncs every write: accepted events survive power loss".into(),
        Sync::Sometimes if replicas > 1 => format!(
            "the server syncs now and then: accepted events survive the loss of {} of {replicas} \
             servers, but not of all of them at once",
            (replicas - 1) / 2
        ),
        Sync::Sometimes => {
            "the server syncs now and then, and there is one replica: events accepted just before \
             a loss of power may be lost; set sync_interval: always, or queue.replicas = 3"
                .into()
        }
        Sync::Unknown(why) => format!(
            "whether the server syncs every write is not known ({why}); by default it does so \
             every 2 minutes only"
        ),
    }
}

enum Sync {
    Always,
    Sometimes,
    Unknown(String),
}

async fn syncs_every_write(stream: &Stream, monitor: Option<&Client>) -> Sync {
    let (Some(client), Some(url)) = (monitor, &stream.spec.monitor) else {
        return Sync::Unknown("name its monitoring address in queue.monitor".into());
    };
    let varz = format!("{}/varz", url.trim_end_matches('/'));
    let (status, body) = match crate::rest::get(client, &varz).await {
        Ok(answer) => answer,
        Err(error) => return Sync::Unknown(error.to_string()),
    };

    let config = &body["jetstream"]["config"];
    if status != 200 || !config.is_object() {
        return Sync::Unknown(format!(
            "{url} answers {status} and says nothing of JetStream"
        ));
    }
    if config["sync_always"].as_bool().unwrap_or(false) {
        Sync::Always
    } else {
        Sync::Sometimes
    }
}
