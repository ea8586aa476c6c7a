//! The errors of every command on deliveries, as the API describes them.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

/// The answers of replay, discard and retry now to an order that they do not carry out. Each is an
/// `ApiError`.
pub(crate) enum OrderErrors {}

impl IntoResponses for OrderErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        BTreeMap::from([
            ("400".to_owned(), described("The order is wrong")),
            (
                "404".to_owned(),
                described("There is no such hook, and no event of it"),
            ),
        ])
    }
}

fn described(description: &str) -> RefOr<Response> {
    let schema = Ref::from_schema_name("ApiError");
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let response = ResponseBuilder::new().description(description);
    response.content("application/json", content).into()
}
