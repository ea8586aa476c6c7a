//! `[telemetry]`, and the variables that OpenTelemetry defines for every program.
//!
//! Source: opentelemetry.io/docs/specs/otel/protocol/exporter and
//! opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables.

use std::fmt;
use std::time::Duration;

use landfall_model::SecretRef;
use percent_encoding::percent_decode_str;

use super::node_settings::TelemetryTable;
use super::value_error::ValueError;
use super::values::OtlpEndpoint;

const DISABLED: &str = "OTEL_SDK_DISABLED";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
const RESOURCE: &str = "OTEL_RESOURCE_ATTRIBUTES";
/// The only protocol that Landfall speaks.
const HTTP_PROTOBUF: &str = "http/protobuf";
/// The most headers, and the most attributes of the resource.
const PAIRS_MAX: usize = 64;

/// Where traces and metrics are sent.
#[derive(Clone)]
pub struct TelemetrySpec {
    /// The collector, without a slash at the end.
    pub endpoint: String,
    /// Headers of each request to the collector. Their values may be secrets.
    pub headers: Vec<(String, String)>,
    /// The value of the header `Authorization`.
    pub authorization: Option<SecretRef>,
    /// The resource: `service.name`, and the attributes of `OTEL_RESOURCE_ATTRIBUTES`.
    pub resource: Vec<(String, String)>,
    /// The share of new traces that are recorded: 0 to 1.
    pub sample_ratio: f64,
    /// How often metrics are sent. `None`: never.
    pub metrics_interval: Option<Duration>,
}

/// What is wrong with a variable of OpenTelemetry.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum VariableError {
    #[error("{0}")]
    Endpoint(ValueError),
    #[error(
        "`{}` is not supported: Landfall sends {}, usually to port 4318. Set the variable to that and the \
         endpoint to such a port, or set telemetry.otlp_endpoint",
        .0.escape_debug(),
        HTTP_PROTOBUF
    )]
    Protocol(String),
    #[error(
        "not a list of NAME=VALUE with commas between them, of at most {}",
        PAIRS_MAX
    )]
    Pairs(&'static str),
}

/// Where traces and metrics are sent. `None`: nowhere, because no endpoint is set.
pub(crate) fn spec(
    table: &TelemetryTable,
    var: &impl Fn(&str) -> Option<String>,
) -> Result<Option<TelemetrySpec>, VariableError> {
    let var = |name: &str| var(name).filter(|value| !value.is_empty());
    if var(DISABLED).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }

    let endpoint = match (&table.otlp_endpoint, var(ENDPOINT)) {
        (Some(endpoint), _) => endpoint.0.clone(),
        (None, Some(text)) => {
            // The protocol belongs to the endpoint of the variable.
            if let Some(protocol) = var(PROTOCOL).filter(|protocol| protocol != HTTP_PROTOBUF) {
                return Err(VariableError::Protocol(protocol));
            }
            text.parse().map_err(VariableError::Endpoint)?
        }
        (None, None) => return Ok(None),
    };
    let OtlpEndpoint(endpoint) = endpoint;

    let named = table.service_name.clone().or_else(|| var(SERVICE_NAME));
    let mut resource = pairs(RESOURCE, var(RESOURCE))?;
    let has_name = resource.iter().any(|(name, _)| name == "service.name");
    let named = named.or_else(|| (!has_name).then(|| "landfall".to_owned()));
    if let Some(named) = named {
        resource.retain(|(name, _)| name != "service.name");
        resource.push(("service.name".to_owned(), named));
    }

    let interval = table.metrics_interval.0;
    Ok(Some(TelemetrySpec {
        endpoint,
        headers: pairs(HEADERS, var(HEADERS))?,
        authorization: table
            .authorization
            .as_ref()
            .map(|reference| reference.0.clone()),
        resource,
        sample_ratio: table.sample_ratio,
        metrics_interval: (!interval.is_zero()).then_some(interval),
    }))
}

/// `name=value,name=value`, with percent-encoded values. The error does not contain the text, which
/// may be a secret.
fn pairs(
    variable: &'static str,
    text: Option<String>,
) -> Result<Vec<(String, String)>, VariableError> {
    let text = text.unwrap_or_default();
    let parts = text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    let pairs: Option<Vec<_>> = parts.map(pair).collect();

    pairs
        .filter(|pairs| pairs.len() <= PAIRS_MAX)
        .ok_or(VariableError::Pairs(variable))
}

fn pair(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
    let name = name.trim();
    (!name.is_empty()).then(|| (name.to_owned(), value.into_owned()))
}

// === impl TelemetrySpec ===

impl TelemetrySpec {
    /// The secrets of the collector, which hook files may not name.
    pub(crate) fn secrets(&self) -> Vec<SecretRef> {
        let headers: Option<SecretRef> = format!("env:{HEADERS}").parse().ok();
        self.authorization.iter().cloned().chain(headers).collect()
    }
}

impl fmt::Debug for TelemetrySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TelemetrySpec")
            .field("endpoint", &self.endpoint)
            .field("authorization", &self.authorization)
            .field("sample_ratio", &self.sample_ratio)
            .field("metrics_interval", &self.metrics_interval)
            .finish_non_exhaustive()
    }
}

// === impl VariableError ===

impl VariableError {
    /// The name of the variable.
    pub(crate) fn variable(&self) -> &'static str {
        match self {
            VariableError::Endpoint(_) => ENDPOINT,
            VariableError::Protocol(_) => PROTOCOL,
            VariableError::Pairs(variable) => variable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str, vars: &[(&str, &str)]) -> Result<Option<TelemetrySpec>, VariableError> {
        let table: TelemetryTable = toml::from_str(toml).unwrap();
        let var = |name: &str| {
            let found = vars.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| value.to_string())
        };
        spec(&table, &var)
    }

    fn texts(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }

    #[test]
    fn telemetry_is_off_by_default() {
        assert!(read("", &[]).unwrap().is_none());
        assert!(read("", &[(SERVICE_NAME, "x")]).unwrap().is_none());
        let disabled = [(ENDPOINT, "http://c:4318"), (DISABLED, "true")];
        assert!(read("", &disabled).unwrap().is_none());
    }

    #[test]
    fn standard_variables_are_read() {
        let vars = [
            (ENDPOINT, "https://otlp.example.com/base/"),
            (HEADERS, "authorization=Basic%20canary, x-scope=a"),
            (RESOURCE, "deployment.environment=prod,service.name=other"),
            (SERVICE_NAME, "hooks"),
            (PROTOCOL, "http/protobuf"),
        ];
        let spec = read("", &vars).unwrap().unwrap();
        assert_eq!(spec.endpoint, "https://otlp.example.com/base");
        assert_eq!(spec.headers[0].1, "Basic canary");
        assert_eq!(
            texts(&spec.resource),
            [
                ("deployment.environment", "prod"),
                ("service.name", "hooks")
            ]
        );
        assert!(!format!("{spec:?}").contains("canary"));
        assert_eq!(spec.secrets().len(), 1);
    }

    #[test]
    fn settings_override_variables() {
        let toml = "otlp_endpoint = \"http://127.0.0.1:4318\"\nmetrics_interval = \"0s\"\n\
                    sample_ratio = 0.25\nauthorization = \"env:TOKEN\"";
        let vars = [(ENDPOINT, "http://c:4317"), (PROTOCOL, "grpc")];
        let spec = read(toml, &vars).unwrap().unwrap();
        assert_eq!(spec.endpoint, "http://127.0.0.1:4318");
        assert_eq!((spec.sample_ratio, spec.metrics_interval), (0.25, None));
        assert_eq!(texts(&spec.resource), [("service.name", "landfall")]);
        assert_eq!(spec.secrets().len(), 2);
    }

    #[test]
    fn mistakes_name_their_variable() {
        let endpoint = (ENDPOINT, "http://c:4318");
        for (vars, variable) in [
            ([(ENDPOINT, "c:4318"), (SERVICE_NAME, "x")], ENDPOINT),
            ([(ENDPOINT, "http://u:p@c"), (SERVICE_NAME, "x")], ENDPOINT),
            ([endpoint, (PROTOCOL, "grpc")], PROTOCOL),
            ([endpoint, (HEADERS, "canary")], HEADERS),
            ([endpoint, (RESOURCE, "=x")], RESOURCE),
        ] {
            let error = read("", &vars).unwrap_err();
            assert_eq!(error.variable(), variable);
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }
}
