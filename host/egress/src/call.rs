//! A request to which credentials are added before it is sent.

use bytes::Bytes;
use http::{HeaderMap, Method};
use url::Url;

use landfall_model::Event;

/// The parts of a request that a credential may read or change.
pub struct Call<'a> {
    /// The method.
    pub method: &'a Method,
    /// The URL, with its query.
    pub url: &'a mut Url,
    /// Headers that HTTP can carry.
    pub headers: &'a mut HeaderMap,
    /// The whole body.
    pub body: &'a mut Bytes,
    /// The event that is handled. No placeholder is replaced that the sender of the event wrote.
    pub untrusted: Option<&'a Event>,
}
