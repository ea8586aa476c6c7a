//! Keys, qualifiers and commands.

use askama::Template;
use axum::extract::{Extension, State};
use axum::response::Response;

use crate::page::{Page, show};
use crate::query::QUALIFIERS;
use crate::state::{Operator, Shared};

#[derive(Template)]
#[template(path = "help.html")]
struct HelpPage {
    page: Page,
    qualifiers: [(&'static str, &'static str); 12],
}

pub(crate) async fn page(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
) -> Response {
    show(&HelpPage {
        page: Page::new(&dashboard, &by, "Help", ""),
        qualifiers: QUALIFIERS,
    })
}
