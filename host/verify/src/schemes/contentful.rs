//! Contentful: HMAC-SHA256 over method, path, the headers that the request lists, and body. A list
//! without the time or without itself is refused. Source:
//! contentful.com/developers/docs/webhooks/request-verification.

use std::collections::BTreeSet;
use std::time::SystemTime;

use super::common::{header, mismatch, of_length};
use crate::algorithm::{Running, mac, same};
use crate::edit::{put, written};
use crate::keys::VerifyContext;
use crate::refusal::{Reason, Refusal, malformed};
use crate::request::Unverified;
use crate::sign_error::SignError;
use crate::view::View;
use crate::window::{self, Window};
use landfall_model::{Algorithm, TimeUnit, ValueLocation};

const SIGNED_MAX: usize = 32;
const LIST: &str = "x-contentful-signed-headers";
const TIME: &str = "x-contentful-timestamp";

pub(crate) fn check(
    window: Window,
    view: &View<'_>,
    context: &VerifyContext<'_>,
) -> Result<usize, Refusal> {
    let signature = header(view, "X-Contentful-Signature", Reason::MissingSignature)?;
    let signature = of_length(
        hex::decode(signature).map_err(|_| malformed("not hex"))?,
        32,
    )?;

    let list = header(view, LIST, Reason::MissingSignature)?;
    let time_ns = window::parse(
        TimeUnit::Ms,
        header(view, TIME, Reason::MissingTimestamp)?.as_bytes(),
    )?;

    if let Some(now) = context.now {
        window::check_time(window, time_ns, now)?;
    }

    let names: Vec<String> = list
        .split(',')
        .take(SIGNED_MAX + 1)
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();

    let distinct: BTreeSet<&String> = names.iter().collect();
    if names.len() > SIGNED_MAX || distinct.len() < names.len() {
        return Err(malformed(format!(
            "{LIST} lists more than {SIGNED_MAX} headers, or one twice"
        )));
    }

    if ![LIST, TIME]
        .iter()
        .all(|needed| names.iter().any(|name| name == needed))
    {
        return Err(malformed(format!("{LIST} does not list itself and {TIME}")));
    }

    let pairs: Vec<String> = names
        .iter()
        .map(|name| {
            header(view, name, Reason::SignatureMismatch).map(|value| format!("{name}:{value}"))
        })
        .collect::<Result<_, _>>()?;

    let head = format!(
        "{}\n{}\n{}\n",
        view.request.method,
        view.called_path_and_query(),
        pairs.join(";")
    );

    context
        .keys
        .find(|_, key| {
            let mut running = Running::new(Algorithm::HmacSha256, key).expect("a MAC");
            running.update(head.as_bytes());
            running.update(&view.request.body);

            Ok(same(&running.finish(), &signature))
        })?
        .ok_or_else(mismatch)
}

pub(crate) fn sign(draft: &mut Unverified, key: &[u8], now: SystemTime) -> Result<(), SignError> {
    put(
        draft,
        &ValueLocation::Header(LIST.into()),
        &format!("{LIST},{TIME}"),
    )?;

    put(
        draft,
        &ValueLocation::Header(TIME.into()),
        &written(TimeUnit::Ms, now),
    )?;

    let view = View::new(draft, None);
    let pairs: Vec<String> = [LIST, TIME]
        .iter()
        .map(|name| {
            format!(
                "{name}:{}",
                String::from_utf8_lossy(view.header(name).unwrap_or_default())
            )
        })
        .collect();

    let head = format!(
        "{}\n{}\n{}\n",
        draft.method,
        view.path_and_query(),
        pairs.join(";")
    );

    let digest = mac(
        Algorithm::HmacSha256,
        key,
        &[head.as_bytes(), &draft.body].concat(),
    );

    put(
        draft,
        &ValueLocation::Header("X-Contentful-Signature".into()),
        &hex::encode(digest),
    )
}
