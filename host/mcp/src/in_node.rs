//! The admin API of the same process.

use async_trait::async_trait;
use landfall_admin::{Admin, Caller, InProcess};

use crate::api::{AdminApi, Unreachable};

/// The API of the node that serves the tools.
pub struct OfNode(InProcess);

// === impl OfNode ===

impl OfNode {
    /// The API of this node.
    pub fn new(admin: &Admin) -> OfNode {
        OfNode(InProcess::new(admin))
    }
}

#[async_trait]
impl AdminApi for OfNode {
    async fn ask(
        &self,
        caller: Option<&Caller>,
        path: &str,
        post: Option<String>,
    ) -> Result<(u16, String), Unreachable> {
        let Some(caller) = caller.cloned() else {
            return Err(Unreachable("the request has no token".to_owned()));
        };
        let (api, path) = (self.0.clone(), path.to_owned());
        // A task of its own: a client that closes its connection does not end a change before its
        // result is in the audit record.
        let asked = tokio::spawn(async move {
            match post {
                None => api.get_as(&caller, &path).await,
                Some(json) => api.post(&caller, &path, json).await,
            }
        });
        match asked.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Unreachable(format!(
                "the admin API gave no answer: {error}"
            ))),
            Err(_) => Err(Unreachable(
                "the admin API failed: the log of the node says why".to_owned(),
            )),
        }
    }
}
