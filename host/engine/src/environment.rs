//! The environment of a component: the variables that the hook file lists, with the present values
//! of secrets.

use std::sync::Arc;

use arc_swap::ArcSwap;
use landfall_egress::Redactor;
use landfall_model::{
    CredentialPart, EnvironmentVariable, Secret, SecretError, SecretRef, SecretSource,
};

/// The variables of one hook.
pub(crate) struct Environment {
    variables: Vec<EnvironmentVariable>,
    secrets: Arc<dyn SecretSource>,
    /// Of the values that the secrets had last.
    redactor: ArcSwap<Redactor>,
}

/// The environment of one attempt.
#[derive(Default)]
pub(crate) struct Resolved {
    /// Names and values, as the component reads them.
    pub(crate) variables: Vec<(String, String)>,
    /// Removes the values of secrets from logs and recordings.
    pub(crate) redactor: Arc<Redactor>,
}

/// A variable has no usable value.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnvironmentError {
    #[error("[environment] {name} has no value: {error}")]
    NoValue {
        name: String,
        #[source]
        error: SecretError,
    },
    #[error("[environment] {name}: the secret {reference} is not text")]
    NotText { name: String, reference: SecretRef },
}

// === impl Environment ===

impl Environment {
    pub(crate) fn new(
        variables: Vec<EnvironmentVariable>,
        secrets: Arc<dyn SecretSource>,
    ) -> Environment {
        Environment {
            variables,
            secrets,
            redactor: ArcSwap::default(),
        }
    }

    /// The present values. Fails if one variable has no value.
    pub(crate) fn resolve(&self) -> Result<Resolved, EnvironmentError> {
        let mut secrets = Vec::new();
        let mut variables = Vec::with_capacity(self.variables.len());
        for variable in &self.variables {
            variables.push((variable.name.clone(), self.value(variable, &mut secrets)?));
        }
        Ok(Resolved {
            variables,
            redactor: self.redactor(secrets),
        })
    }

    /// The variables that have a value: for the test instance at load.
    pub(crate) fn resolve_present(&self) -> Resolved {
        let mut secrets = Vec::new();
        let mut variables = Vec::with_capacity(self.variables.len());
        for variable in &self.variables {
            if let Ok(value) = self.value(variable, &mut secrets) {
                variables.push((variable.name.clone(), value));
            }
        }
        Resolved {
            variables,
            redactor: self.redactor(secrets),
        }
    }

    /// The forms of secrets are made once for each set of values.
    fn redactor(&self, secrets: Vec<Secret>) -> Arc<Redactor> {
        let last = self.redactor.load();
        if **last.secrets() == *secrets {
            return Arc::clone(&last);
        }

        let redactor = Arc::new(Redactor::new(secrets.into()));
        self.redactor.store(redactor.clone());
        redactor
    }

    fn value(
        &self,
        variable: &EnvironmentVariable,
        secrets: &mut Vec<Secret>,
    ) -> Result<String, EnvironmentError> {
        let mut value = String::new();
        for part in &variable.value {
            match part {
                CredentialPart::Literal(text) => value.push_str(text),
                CredentialPart::Secret(reference) => {
                    let secret = self.secret(&variable.name, reference)?;
                    value.push_str(text_of(&secret).ok_or_else(|| EnvironmentError::NotText {
                        name: variable.name.clone(),
                        reference: reference.clone(),
                    })?);
                    secrets.push(secret);
                }
            }
        }
        Ok(value)
    }

    fn secret(&self, name: &str, reference: &SecretRef) -> Result<Secret, EnvironmentError> {
        self.secrets
            .value(reference)
            .map_err(|error| EnvironmentError::NoValue {
                name: name.to_owned(),
                error,
            })
    }
}

/// The text of a secret. An environment variable cannot contain NUL.
fn text_of(secret: &Secret) -> Option<&str> {
    std::str::from_utf8(secret.expose())
        .ok()
        .filter(|text| !text.contains('\0'))
}
