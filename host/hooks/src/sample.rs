//! The sample of a hook: what its provider would send to it.

use landfall_model::Secret;
use landfall_verify::SampleRequest;

use super::hook::Hook;

// === impl Hook ===

impl Hook {
    /// A sample for this hook, to be signed with this secret. `public`: the public listener, such
    /// as `http://127.0.0.1:8080`.
    pub fn sample_request(
        &self,
        public: &str,
        event: Option<String>,
        body: Option<Vec<u8>>,
        secret: Option<Secret>,
    ) -> SampleRequest {
        let verify = &self.spec.verify;
        SampleRequest {
            verify: verify.clone(),
            methods: self.spec.methods.clone(),
            event,
            url: format!("{public}{}", sample_path(&self.spec.path)),
            public_url: verify.url.clone().or_else(|| verify.public_url.clone()),
            secret,
            body,
        }
    }
}

/// The path of a hook without its last segment if that stands for any rest.
fn sample_path(pattern: &str) -> String {
    match pattern.rsplit_once('/') {
        Some((before, last)) if last.starts_with('{') && last.ends_with("...}") => {
            format!("{before}/sample")
        }
        _ => pattern.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_have_a_plain_path() {
        assert_eq!(sample_path("/github"), "/github");
        assert_eq!(sample_path("/files/{rest...}"), "/files/sample");
        assert_eq!(sample_path("/in/{token}"), "/in/{token}");
    }
}
