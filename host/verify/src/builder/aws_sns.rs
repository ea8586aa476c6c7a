//! Rules of `scheme = "aws-sns"`.

use super::error::{BuildError, wrong};
use crate::schemes::ProviderScheme;
use landfall_model::VerifySpec;

/// Every AWS account can send from topics of its own: the operator lists those that count.
pub(super) fn build(spec: &VerifySpec) -> Result<ProviderScheme, BuildError> {
    let topics = topics(spec).ok_or_else(|| {
        let way_out =
            "write config = { topic_arns = [\"arn:aws:sns:…\"] }, or [\"*\"] to accept every topic of every account";
        wrong("config", format!("every AWS account can send from a topic of its own: {way_out}"))
    })?;

    Ok(ProviderScheme::AwsSns { topics })
}

/// At least one, each a whole ARN or `*`.
fn topics(spec: &VerifySpec) -> Option<Vec<String>> {
    let topics = spec.config.get("topic_arns")?.texts().to_vec();
    let is_arn = |topic: &str| {
        let parts: Vec<&str> = topic.split(':').collect();
        matches!(parts[..], ["arn", _, "sns", region, _, _] if !region.is_empty())
            && !topic.contains('*')
    };

    let is_one = |topic: &String| topic == "*" || is_arn(topic);
    (!topics.is_empty() && topics.iter().all(is_one)).then_some(topics)
}
