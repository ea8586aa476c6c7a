//! The deliveries of a job, and the walk through them.

use landfall_admin::InProcess;

use super::command::Command;
use crate::api::{self, ApiError, Delivery};
use crate::query::Query;
use crate::reason::normalise;

/// Deliveries that are listed at a time.
const PAGE: usize = 500;

/// The deliveries of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Event ids. If there are some, the rest is not used.
    pub(crate) events: Vec<String>,
    /// A search, as on the events page.
    pub(crate) search: String,
    /// A normalised reason; empty: any.
    pub(crate) group: String,
}

/// The place of a walk through the matching deliveries, newest first.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    before: Option<i64>,
    pub(super) is_at_end: bool,
}

// === impl Selection ===

impl Selection {
    /// A sentence part: what is selected.
    pub(crate) fn describe(&self) -> String {
        let searched = match self.search.trim() {
            "" => "all deliveries".to_owned(),
            search => format!("deliveries that match {search}"),
        };
        match (self.events.len(), self.group.as_str()) {
            (0, "") => searched,
            (0, group) => format!("{searched}, with the reason “{group}”"),
            (count, _) => format!("{count} selected events"),
        }
    }

    /// The next page of the walk. Deliveries that do not fit the group are left out.
    pub(super) async fn next_page(
        &self,
        api: &InProcess,
        command: Command,
        cursor: &mut Cursor,
    ) -> Result<Vec<Delivery>, ApiError> {
        let query = Query::parse(&self.search);
        if let Some(problem) = query.problems.first() {
            return Err(ApiError {
                status: 400,
                text: problem.clone(),
            });
        }

        let (limit, before) = (
            PAGE.to_string(),
            cursor.before.map(|before| before.to_string()),
        );
        let mut parameters = vec![
            ("limit", limit.as_str()),
            ("before", before.as_deref().unwrap_or_default()),
        ];
        parameters.extend(
            query
                .parameters
                .iter()
                .map(|(name, value)| (*name, value.as_str())),
        );
        if query.get("state").is_none() {
            parameters.extend(command.state().map(|state| ("state", state)));
        }

        let page = api::deliveries(api, &parameters).await?;
        cursor.before = page.next;
        cursor.is_at_end = page.next.is_none();
        let fits = |one: &Delivery| {
            self.group.is_empty()
                || one
                    .reason
                    .as_deref()
                    .is_some_and(|reason| normalise(reason) == self.group)
        };
        Ok(page.events.into_iter().filter(fits).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selections_are_described() {
        let search = Selection {
            search: "hook:a".into(),
            group: "timeout after N s".into(),
            ..Selection::default()
        };
        assert_eq!(
            search.describe(),
            "deliveries that match hook:a, with the reason “timeout after N s”"
        );
        let picked = Selection {
            events: vec!["1".into(), "2".into()],
            ..Selection::default()
        };
        assert_eq!(picked.describe(), "2 selected events");
    }
}
