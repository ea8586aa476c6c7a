//! A `[verify]` table over another one, field by field and in nested tables too: the upper table
//! wins where it says something.

use std::collections::BTreeMap;

use super::jwt_spec::{JwtSpec, LookupSpec};
use super::scheme::VerifySpec;
use super::signature_spec::{KeySetSpec, ListSpec, MessageSignatureSpec, TimeSpec};

/// A table whose absent fields are filled from another table of the same kind.
trait Merge {
    fn merge(self, lower: Self) -> Self;
}

// === impl VerifySpec ===

impl VerifySpec {
    /// This table over `lower`. Secrets are never taken from `lower`: a pack holds none. Lists,
    /// `challenge` included, are replaced as a whole; a list of parts has no order that two authors
    /// could share.
    pub fn merge(self, lower: VerifySpec) -> VerifySpec {
        // The full URL and its beginning exclude each other: the upper table decides between them.
        let (public_url, url) = match (self.public_url, self.url) {
            (None, None) => (lower.public_url, lower.url),
            upper => upper,
        };
        // So do methods, and the one algorithm with its prefix.
        let lower_prefix = lower.prefix.filter(|_| self.methods.is_none());
        let lower_algorithm = lower.algorithm.filter(|_| self.methods.is_none());
        let lower_methods = lower.methods.filter(|_| self.algorithm.is_none());
        // Alternatives belong to the payload beside them.
        let lower_alternatives = lower
            .payload_alternatives
            .filter(|_| self.payload.is_none());
        VerifySpec {
            provider: self.provider,
            scheme: self.scheme.or(lower.scheme),
            secret: self.secret,
            challenge_secret: self.challenge_secret,
            key: self.key.or(lower.key),
            from: self.from.or(lower.from),
            prefix: self.prefix.or(lower_prefix),
            list: nested(self.list, lower.list),
            algorithm: self.algorithm.or(lower_algorithm),
            encoding: self.encoding.or(lower.encoding),
            methods: self.methods.or(lower_methods),
            key_set: nested(self.key_set, lower.key_set),
            payload: self.payload.or(lower.payload),
            payload_alternatives: self.payload_alternatives.or(lower_alternatives),
            timestamp: nested(self.timestamp, lower.timestamp),
            id: self.id.or(lower.id),
            require: nested(self.require, lower.require),
            public_url,
            url,
            config: self.config.merge(lower.config),
            jwt: nested(self.jwt, lower.jwt),
            message_signature: nested(self.message_signature, lower.message_signature),
            challenge: self.challenge.or(lower.challenge),
            refused_status: self.refused_status.or(lower.refused_status),
            from_addresses: self.from_addresses.or(lower.from_addresses),
        }
    }
}

impl Merge for ListSpec {
    fn merge(self, lower: ListSpec) -> ListSpec {
        ListSpec {
            separator: self.separator.or(lower.separator),
            assign: self.assign.or(lower.assign),
            labels: self.labels.or(lower.labels),
            timestamp: self.timestamp.or(lower.timestamp),
            timestamp_first: self.timestamp_first.or(lower.timestamp_first),
        }
    }
}

impl Merge for TimeSpec {
    /// A longer past does not lengthen the future: where neither table says `future`, it stays as
    /// long as the lower past.
    fn merge(self, lower: TimeSpec) -> TimeSpec {
        TimeSpec {
            from: self.from.or(lower.from),
            unit: self.unit.or(lower.unit),
            past: self.past.or(lower.past),
            future: self.future.or(lower.future).or(lower.past),
        }
    }
}

impl Merge for JwtSpec {
    fn merge(self, lower: JwtSpec) -> JwtSpec {
        // Keys come from one source: the upper table decides which.
        let (jwks, lookup) = match (self.jwks, self.lookup) {
            (Some(jwks), None) => (Some(jwks), None),
            (None, Some(lookup)) => (None, nested(Some(lookup), lower.lookup)),
            (jwks, lookup) => (jwks.or(lower.jwks), nested(lookup, lower.lookup)),
        };
        JwtSpec {
            algorithms: self.algorithms.or(lower.algorithms),
            jwks,
            lookup,
            claims: self.claims.merge(lower.claims),
            leeway: self.leeway.or(lower.leeway),
            max_age: self.max_age.or(lower.max_age),
            prefix_optional: self.prefix_optional.or(lower.prefix_optional),
            body_hash: self.body_hash.or(lower.body_hash),
            body_hash_encoding: self.body_hash_encoding.or(lower.body_hash_encoding),
            body_claim: self.body_claim.or(lower.body_claim),
            body_hash_if_body: self.body_hash_if_body.or(lower.body_hash_if_body),
            url_hash: self.url_hash.or(lower.url_hash),
            no_expiry: self.no_expiry.or(lower.no_expiry),
            query_string_hash: self.query_string_hash.or(lower.query_string_hash),
            header_time: self.header_time.or(lower.header_time),
        }
    }
}

impl Merge for KeySetSpec {
    fn merge(self, lower: KeySetSpec) -> KeySetSpec {
        KeySetSpec {
            url: self.url.or(lower.url),
            id: self.id.or(lower.id),
        }
    }
}

impl Merge for LookupSpec {
    fn merge(self, lower: LookupSpec) -> LookupSpec {
        LookupSpec {
            url: self.url.or(lower.url),
            body: self.body.merge(lower.body),
            key: self.key.or(lower.key),
        }
    }
}

impl Merge for MessageSignatureSpec {
    fn merge(self, lower: MessageSignatureSpec) -> MessageSignatureSpec {
        MessageSignatureSpec {
            components: self.components.or(lower.components),
            label: self.label.or(lower.label),
            tag: self.tag.or(lower.tag),
            key_ids: if self.key_ids.is_empty() {
                lower.key_ids
            } else {
                self.key_ids
            },
        }
    }
}

impl<V> Merge for BTreeMap<String, V> {
    fn merge(self, mut lower: BTreeMap<String, V>) -> BTreeMap<String, V> {
        lower.extend(self);
        lower
    }
}

fn nested<T: Merge>(upper: Option<T>, lower: Option<T>) -> Option<T> {
    match (upper, lower) {
        (Some(upper), Some(lower)) => Some(upper.merge(lower)),
        (upper, lower) => upper.or(lower),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> VerifySpec {
        toml::from_str(text).unwrap()
    }

    fn merged(upper: &str, lower: &str) -> VerifySpec {
        table(upper).merge(table(lower))
    }

    #[test]
    fn nested_tables_merge_by_field() {
        for (upper, lower, both) in [
            (
                "timestamp = { past = \"2h\" }",
                "timestamp = { from = { header = \"T\" }, unit = \"s\", past = \"5m\" }",
                "timestamp = { from = { header = \"T\" }, unit = \"s\", past = \"2h\", future = \"5m\" }",
            ),
            (
                "timestamp = { unit = \"ms\" }",
                "timestamp = { unit = \"s\", past = \"5m\", future = \"1m\" }",
                "timestamp = { unit = \"ms\", past = \"5m\", future = \"1m\" }",
            ),
            (
                "list = { labels = [\"v2\"] }",
                "list = { separator = \",\", assign = \"=\", labels = [\"v1\"], timestamp = \"t\" }",
                "list = { separator = \",\", assign = \"=\", labels = [\"v2\"], timestamp = \"t\" }",
            ),
            (
                "require = { X-A = \"2\" }",
                "require = { X-A = \"1\", X-B = \"1\" }",
                "require = { X-A = \"2\", X-B = \"1\" }",
            ),
            (
                "jwt = { leeway = \"1m\", claims = { aud = \"me\" } }",
                "jwt = { algorithms = [\"HS256\"], body_hash = \"h\", claims = { aud = \"x\", iss = \"y\" }, no_expiry = true }",
                "jwt = { algorithms = [\"HS256\"], body_hash = \"h\", claims = { aud = \"me\", iss = \"y\" }, no_expiry = true, leeway = \"1m\" }",
            ),
            (
                "jwt = { lookup = { body = { env = \"sandbox\" } } }",
                "jwt = { lookup = { url = \"https://a.example\", body = { env = \"live\", kid = \"{kid}\" }, key = \"/key\" } }",
                "jwt = { lookup = { url = \"https://a.example\", body = { env = \"sandbox\", kid = \"{kid}\" }, key = \"/key\" } }",
            ),
            (
                "jwt = { jwks = \"https://b.example\" }",
                "jwt = { lookup = { url = \"https://a.example\" } }",
                "jwt = { jwks = \"https://b.example\" }",
            ),
            (
                "methods = [\"sha1\"]",
                "algorithm = \"hmac-sha256\"\nprefix = \"sha256=\"",
                "methods = [\"sha1\"]",
            ),
            (
                "algorithm = \"hmac-sha1\"",
                "methods = [\"sha256\"]",
                "algorithm = \"hmac-sha1\"",
            ),
            (
                "payload = [\"{body}\"]",
                "payload = [\"{id}\"]\npayload_alternatives = [[\"{body}\", [\"{query:a}\"]]]",
                "payload = [\"{body}\"]",
            ),
            (
                "config = { a = \"2\" }",
                "config = { a = \"1\", b = \"1\" }",
                "config = { a = \"2\", b = \"1\" }",
            ),
            (
                "url = \"https://a.example/x\"",
                "public_url = \"https://b.example\"",
                "url = \"https://a.example/x\"",
            ),
        ] {
            assert_eq!(merged(upper, lower), table(both), "{upper} over {lower}");
        }
    }

    #[test]
    fn lists_are_replaced_as_a_whole() {
        let both = merged(
            "payload = [\"{body}\"]",
            "payload = [\"{timestamp}\", \"{body}\"]",
        );
        assert_eq!(both, table("payload = [\"{body}\"]"));
        assert_eq!(merged("", "secret = \"env:S\"").secret, []);
    }
}
