//! The sections of a guide on deliveries and their answers.

use std::fmt::Write as _;

use super::words::{Block, bound, fact, identity, listed, listed_or, location_name, pattern, time};
use super::{Guide, Section};
use crate::pack::ReplyBody;
use crate::request::SignedBody;
use landfall_model::{IdMatch, TimeSpec};

const UNKNOWN: &str = "not documented";

impl Guide {
    pub(super) fn window(&self) -> Option<TimeSpec> {
        self.spec.timestamp.clone()
    }

    pub(super) fn delivery_section(&self) -> Option<Section> {
        let pack = &self.pack;
        let mut facts = Vec::new();

        facts.push(fact(
            "Deadline",
            match (pack.deadline_seconds, pack.answer_within()) {
                (Some(seconds), Some(within)) => {
                    format!("{seconds} s; Landfall answers within {}", time(within))
                }
                _ => UNKNOWN.to_owned(),
            },
        ));

        facts.push(fact(
            "Largest body",
            match pack.max_body_bytes {
                Some(bytes) => bytesize::ByteSize(bytes).display().iec().to_string(),
                None => UNKNOWN.to_owned(),
            },
        ));

        if !pack.content_types.is_empty() {
            facts.push(fact(
                "Content types",
                listed(pack.content_types.iter().map(|one| format!("`{one}`"))),
            ));
        }

        if let Some(field) = &pack.json_form_field {
            facts.push(fact(
                "JSON document",
                format!("in the form field `{field}`; handlers get it as `event.json`"),
            ));
        }

        facts.push(fact("Retries", self.retries()));
        if let Some(window) = self
            .window()
            .and_then(|time| time.past.map(|past| (past, time.future.unwrap_or(past))))
        {
            let (past, future) = (bound(window.0), bound(window.1));
            facts.push(fact(
                "Time window",
                format!("a request is accepted {past} after, and {future} before its signed time"),
            ));
        }

        if let Some(place) = &pack.event_type {
            facts.push(fact("Kind of event", location_name(place)));
        }

        facts.push(fact("Deduplication", self.deduplication()));
        if let Some(source) = &pack.delivery_id_source {
            facts.push(fact("Source of the identity", source.clone()));
        }

        if pack.signs_body == SignedBody::Decoded {
            facts.push(fact(
                "Compressed bodies",
                "the signature covers the decoded body".into(),
            ));
        }

        if !pack.from_addresses.is_empty() {
            let ranges = pack.from_addresses.iter().map(|range| format!("`{range}`"));
            facts.push(fact("Addresses of the provider", listed(ranges)));
        }

        Some(Section {
            title: "Deliveries",
            blocks: vec![Block::Facts(facts)],
        })
    }

    fn retries(&self) -> String {
        let pack = &self.pack;
        match pack.retries {
            None => UNKNOWN.to_owned(),
            Some(false) => "the provider does not retry".into(),
            Some(true) => {
                let span = pack
                    .retry_span
                    .map(|span| format!(", for up to {}", time(span)))
                    .unwrap_or_default();

                let schedule = pack
                    .retry_schedule
                    .as_ref()
                    .map(|schedule| format!(": {schedule}"))
                    .unwrap_or_default();

                let signed = match pack.retry_resigned {
                    Some(true) => "; each retry is signed again with a new timestamp",
                    Some(false) => "; a retry has the timestamp and signature of the first attempt",
                    None => "",
                };

                format!("yes{span}{schedule}{signed}")
            }
        }
    }

    fn deduplication(&self) -> String {
        let Some(id) = &self.pack.delivery_id else {
            return "none: the provider documents no identity that stays the same on a retry, so \
                    every request runs"
                .into();
        };

        let body = match self.pack.delivery_id_match.unwrap_or_default() {
            IdMatch::Id => "even if the body differs",
            IdMatch::IdAndBody => "if the body is the same too",
        };

        format!(
            "a request with the same {} is a duplicate, {body}",
            identity(id)
        )
    }

    pub(super) fn accepted_status(&self) -> u16 {
        self.verifier.answers().accepted.status
    }

    pub(super) fn answer_section(&self) -> Option<Section> {
        let pack = &self.pack;
        let success = match &pack.success {
            None => "every 2xx status".to_owned(),
            Some(statuses) => listed_or(statuses.iter().map(u16::to_string)),
        };

        let accepted = &pack.accepted;
        let headers: Vec<String> = accepted
            .headers
            .iter()
            .map(|(name, value)| format!("`{name}: {value}`"))
            .collect();

        let body = match (accepted.body.as_deref(), pack.reply_body) {
            (Some(""), _) | (None, ReplyBody::Empty) => "no body".to_owned(),
            (Some(body), _) => format!("the body `{body}`"),
            (None, _) => "the body `{\"accepted\": true, \"event\": ID}`".to_owned(),
        };

        let mut answer = format!("status {}, {body}", self.accepted_status());
        if !headers.is_empty() {
            write!(answer, ", {}", headers.join(", ")).expect("a string takes text");
        }

        let mut facts = vec![
            fact("Success for the provider", success),
            fact("Answer to an event that is stored and runs later", answer),
            fact(
                "Body of a handler's reply",
                match (pack.reply_body, &pack.reply_types[..]) {
                    (ReplyBody::Empty, _) => "not sent: the provider wants an empty body".into(),
                    (ReplyBody::Accepted, _) => {
                        "replaced by the body above, which the provider requires".into()
                    }
                    (ReplyBody::Handler, []) => "sent as the handler wrote it".into(),
                    (ReplyBody::Handler, types) => format!(
                        "sent as the handler wrote it if its `Content-Type` is {}; replaced by \
                         the body above otherwise",
                        listed_or(types.iter().map(|one| format!("`{one}`")))
                    ),
                },
            ),
        ];

        if pack.repeat_reply {
            facts.push(fact(
                "Duplicates",
                "get the handler's reply to the first delivery again".into(),
            ));
        }

        if !pack.avoid_status.is_empty() {
            let never = listed(pack.avoid_status.iter().map(pattern));
            facts.push(fact(
                "Never sent",
                format!("{never}: the provider would disable or drop the webhook"),
            ));
        }

        Some(Section {
            title: "Answer",
            blocks: vec![Block::Facts(facts)],
        })
    }
}
