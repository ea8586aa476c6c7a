//! The pages of the admin listener, and what they need from the rest of the node.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use landfall_admin::Admin;
use landfall_config::Config;
use landfall_dashboard::{ReadPacks, SendError, Setup};
use landfall_hooks::packs;
use landfall_secrets::Secrets;
use landfall_verify::SignedSample;

use crate::tools::send;
use crate::watcher::Watcher;

/// Reads the provider packs, with those of the plugins directory.
pub(crate) fn read_packs(config: &Config) -> ReadPacks {
    let providers = config.settings.plugins.join("providers");
    Arc::new(move || packs(Some(&providers)).unwrap_or_default())
}

/// `public`: the address of the public listener, to which the page `Send` sends samples.
pub(crate) fn pages(
    admin: Admin,
    config: &Config,
    secrets: Arc<Secrets>,
    watcher: Arc<Watcher>,
    public: SocketAddr,
) -> axum::Router {
    landfall_dashboard::router(Setup {
        admin,
        secrets,
        packs: read_packs(config),
        public: reachable(public),
        send: Arc::new(|sample: SignedSample| {
            Box::pin(async move {
                send(sample)
                    .await
                    .map_err(|error| SendError(format!("{error:#}")))
            })
        }),
        next_alarm: Arc::new(move |hook| watcher.silent_from(hook)),
    })
}

/// An address that this machine can connect to: a listener on all addresses has none of its own.
pub(crate) fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_go_to_this_machine() {
        for (listen, sent_to) in [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::1]:8080"),
            ("10.0.0.7:80", "10.0.0.7:80"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()), sent_to.parse().unwrap());
        }
    }
}
