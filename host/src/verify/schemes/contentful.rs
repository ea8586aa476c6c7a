//! Contentful: HMAC-SHA256 over method, path, the headers that the request lists, and body. Source:
//! contentful.com/developers/docs/webhooks/request-verification. A list that leaves out the time or itself proves nothing.

use super::super::algorithm::{mac, same};
use super::super::check::Given;
use super::super::refusal::{Reason, Refusal};
use super::super::signature::malformed;
use super::super::view::View;
use super::super::window::{self, Window};
use super::{header, mismatch, of_length};
use crate::model::{Algorithm, TimeUnit};

const LIST: &str = "x-contentful-signed-headers";
const TIME: &str = "x-contentful-timestamp";

pub fn check(window: Window, view: &View<'_>, given: &Given<'_>) -> Result<usize, Refusal> {
    let signature = header(view, "X-Contentful-Signature", Reason::MissingSignature)?;
    let signature = of_length(hex::decode(signature).map_err(|_| malformed("not hex".into()))?, 32)?;
    let list = header(view, LIST, Reason::MissingSignature)?;
    let time_ns = window::parse(TimeUnit::Ms, header(view, TIME, Reason::MissingTimestamp)?.as_bytes())?;
    if let Some(now) = given.now {
        window::judge(window, time_ns, now)?;
    }
    let names: Vec<String> = list.split(',').map(|name| name.trim().to_ascii_lowercase()).collect();
    if ![LIST, TIME].iter().all(|needed| names.iter().any(|name| name == needed)) {
        return Err(malformed(format!("{LIST} does not list itself and {TIME}")));
    }
    let pairs: Vec<String> = names
        .iter()
        .map(|name| header(view, name, Reason::SignatureMismatch).map(|value| format!("{name}:{value}")))
        .collect::<Result<_, _>>()?;
    let head = format!("{}\n{}\n{}\n", view.request.method, view.path_and_query(), pairs.join(";"));
    let signed = [head.as_bytes(), &view.request.body].concat();
    let is_right = |key: &[u8]| same(&mac(Algorithm::HmacSha256, key, &signed), &signature);
    given.keys.find(|_, key| Ok(is_right(key)))?.ok_or_else(mismatch)
}
