//! Rules of `scheme = "aws-sns"`.

use super::error::{BuildError, wrong};
use crate::schemes::ProviderScheme;
use landfall_model::VerifySpec;

/// Any AWS account can send from its own topics, so the hook must list the accepted ones.
pub(super) fn build(spec: &VerifySpec) -> Result<ProviderScheme, BuildError> {
    let topics = topics(spec).ok_or_else(|| {
        let way_out =
            "write config = { topic_arns = [\"arn:aws:sns:…\"] }, or [\"*\"] to accept every \
             topic of every account";
        wrong("config", format!("every AWS account can send from a topic of its own: {way_out}"))
    })?;

    Ok(ProviderScheme::AwsSns { topics })
}

/// At least one topic, each a complete ARN or `*`.
fn topics(spec: &VerifySpec) -> Option<Vec<String>> {
    let topics = spec.config.get("topic_arns")?.texts().to_vec();
    let are_topics = topics.iter().all(|topic| topic == "*" || is_arn(topic));
    (!topics.is_empty() && are_topics).then_some(topics)
}

fn is_arn(topic: &str) -> bool {
    let parts: Vec<&str> = topic.split(':').collect();
    matches!(parts[..], ["arn", _, "sns", region, _, _] if !region.is_empty())
        && !topic.contains('*')
}
