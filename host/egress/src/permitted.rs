//! A call that the grants of a hook allow.

use http::Method;
use url::Url;

use super::urls;

/// The method and the URL of a call that [`Client::permit`](crate::Client::permit) has allowed. The
/// text of the URL is read once: what was checked is what is called.
#[derive(Debug, Clone)]
pub struct Permitted {
    pub(crate) method: Method,
    pub(crate) url: Url,
}

// === impl Permitted ===

impl Permitted {
    /// The host as the URL has it: a name in lower case, or an address.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// The URL for logs and records, as [`shown_url`](crate::shown_url).
    pub fn shown_url(&self) -> String {
        urls::shown(&self.url)
    }
}
