//! The OpenAPI document: generated from the handlers, with what is the same for all of them.

use serde_json::{Map, Value, json};

use super::operations::{OPERATIONS, openapi};
use crate::role::Role;

/// Errors of the guard, which every operation can answer.
const GUARDED: [(&str, &str); 6] = [
    (
        "400",
        "The request is wrong: a parameter, the body, or a header that occurs twice",
    ),
    ("401", "The token is missing or wrong"),
    (
        "403",
        "The token may not do this, or the request comes from another web page",
    ),
    ("415", "The content type is not application/json"),
    ("421", "The host is no name of this node"),
    ("429", "Too many requests wait because of wrong tokens"),
];
/// Errors of the ledger, which most operations can answer.
const UNAVAILABLE: (&str, &str) = ("503", "The ledger cannot answer now");
/// An error of the operations that change something.
const TOO_LARGE: (&str, &str) = ("413", "The body is larger than 2 MiB");

/// The document. `json!` writes only the parts of OpenAPI itself.
pub(crate) fn document() -> Value {
    let mut document = serde_json::to_value(openapi()).expect("the document has only string keys");
    for operation in OPERATIONS {
        let described = &mut document["paths"][operation.path][operation.method];
        described["security"] = json!([{ "token": [operation.role.word()] }]);
        let too_large = (operation.role == Role::Operate).then_some(TOO_LARGE);
        let errors = GUARDED.into_iter().chain([UNAVAILABLE]).chain(too_large);
        if let Some(responses) = described["responses"].as_object_mut() {
            add_errors(responses, errors);
        }
    }

    document["components"]["securitySchemes"] = json!({
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "admin.token has the role operate, admin.read_token the role read",
        },
    });
    document
}

fn add_errors(
    responses: &mut Map<String, Value>,
    errors: impl Iterator<Item = (&'static str, &'static str)>,
) {
    for (status, description) in errors {
        responses.entry(status).or_insert_with(|| {
            json!({
                "description": description,
                "content": {
                    "application/json": { "schema": { "$ref": "#/components/schemas/ApiError" } },
                },
            })
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_described() {
        let document = serde_json::to_value(openapi()).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let described: BTreeSet<(String, String)> = paths
            .iter()
            .flat_map(|(path, item)| {
                let methods = item.as_object().unwrap().keys();
                methods.map(move |method| (method.clone(), path.clone()))
            })
            .collect();
        let routed: BTreeSet<(String, String)> = OPERATIONS
            .iter()
            .map(|operation| (operation.method.to_owned(), operation.path.to_owned()))
            .collect();
        assert_eq!(described, routed);
    }

    #[test]
    fn operations_have_role_and_errors() {
        let document = document();
        assert!(document["components"]["schemas"]["ApiError"].is_object());
        let mut ids = BTreeSet::new();
        for operation in OPERATIONS {
            let described = &document["paths"][operation.path][operation.method];
            let role = &described["security"][0]["token"][0];
            assert_eq!(role, operation.role.word(), "{}", operation.path);
            assert!(described["responses"]["403"].is_object());
            assert!(described["summary"].is_string(), "{}", operation.path);
            let id = described["operationId"].as_str().unwrap().to_owned();
            assert!(ids.insert(id), "{}", operation.path);
        }
    }

    #[test]
    fn references_lead_somewhere() {
        let document = document();
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
    }
}
