//! The environment of a component: the variables that the hook file lists, with the present values of secrets.

use std::sync::Arc;

use landfall_model::{CredentialPart, EnvironmentVariable, Secret, SecretSource};

/// The variables of one hook.
pub struct Environment {
    variables: Vec<EnvironmentVariable>,
    secrets: Arc<dyn SecretSource>,
}

/// The environment of one attempt.
#[derive(Default)]
pub struct Resolved {
    /// Names and values, as the component reads them.
    pub variables: Vec<(String, String)>,
    /// Values that must not be in logs.
    pub secrets: Arc<[Secret]>,
}

// === impl Environment ===

impl Environment {
    pub fn new(variables: Vec<EnvironmentVariable>, secrets: Arc<dyn SecretSource>) -> Environment {
        Environment { variables, secrets }
    }

    /// The present values. Fails if one variable has no value.
    pub fn resolve(&self) -> Result<Resolved, String> {
        let mut secrets = Vec::new();
        let mut variables = Vec::with_capacity(self.variables.len());
        for variable in &self.variables {
            variables.push((variable.name.clone(), self.value(variable, &mut secrets)?));
        }
        Ok(Resolved {
            variables,
            secrets: secrets.into(),
        })
    }

    /// The variables that have a value: for the trial instantiation at load.
    pub fn resolve_present(&self) -> Resolved {
        let mut secrets = Vec::new();
        let present = self.variables.iter();
        let present = present.filter_map(|variable| {
            Some((
                variable.name.clone(),
                self.value(variable, &mut secrets).ok()?,
            ))
        });
        let variables = present.collect();
        Resolved {
            variables,
            secrets: secrets.into(),
        }
    }

    fn value(
        &self,
        variable: &EnvironmentVariable,
        secrets: &mut Vec<Secret>,
    ) -> Result<String, String> {
        let name = &variable.name;
        let mut value = String::new();
        for part in &variable.value {
            let reference = match part {
                CredentialPart::Literal(text) => {
                    value.push_str(text);
                    continue;
                }
                CredentialPart::Secret(reference) => reference,
            };
            let secret = self.secrets.value(reference);
            let secret =
                secret.map_err(|error| format!("[environment] {name} has no value: {error}"))?;
            let text = std::str::from_utf8(secret.expose())
                .ok()
                .filter(|text| !text.contains('\0'));
            value.push_str(text.ok_or_else(|| {
                format!("[environment] {name}: the secret {reference} is not text")
            })?);
            secrets.push(secret);
        }
        Ok(value)
    }
}
