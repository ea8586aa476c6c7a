//! The texts of a guide that the operator copies: the hook file and the commands.

use std::fmt::Write as _;

use super::Guide;
use super::handshake::HandshakeRequest;
use super::words::{quote, shell_quote, variable};
use crate::auth_scheme::AuthScheme;
use crate::settings;
use landfall_model::ChallengeSpec;

impl Guide {
    /// A hook file that loads as it is.
    pub fn hook_file(&self) -> String {
        let name = &self.name;
        let mut text = format!("# {name}.toml\ncomponent = \"echo.wasm\"\n");
        if let Some(path) = self.path() {
            writeln!(text, "path      = {}", quote(&path)).expect("a string takes text");
        }

        let challenge = format!("env:{}", variable(name, "VERIFY_TOKEN"));
        text + "\n" + &self.verify_table(&self.secret_reference(), &challenge)
    }

    /// The command that sends a signed sample to a local node; `None` if no request can be signed.
    pub(crate) fn test_command(&self) -> Option<String> {
        if self.cannot_sign.is_some() {
            return None;
        }

        let mut command = format!("landfall send {} --to {}", self.name, self.local_url());
        if self.needs_secret() {
            // A reference in a hook file is relative to the plugins directory, one in a command to
            // the working directory.
            let reference = self.secret_reference().replace("file:", "file:plugins/");
            write!(command, " --secret {reference}").expect("a string takes text");
        }

        for (name, value) in self.required_config() {
            if settings::names_read(&self.spec).contains(&name) {
                write!(
                    command,
                    " --config {}",
                    shell_quote(&format!("{name}={value}"))
                )
                .expect("a string takes text");
            }
        }

        if self.needs_public_url {
            write!(command, " --public-url {}", self.public_url()).expect("a string takes text");
        }

        Some(command)
    }

    /// The commands that make the provider's handshakes: with curl, or signed if required.
    pub(super) fn handshake_commands(&self) -> Vec<String> {
        self.rules()
            .filter_map(|rule| self.handshake_command(rule))
            .collect()
    }

    /// `None` if the operator must first open the handshake or list a value.
    fn handshake_command(&self, rule: &ChallengeSpec) -> Option<String> {
        let list = rule.require.listed.as_ref();
        let required = self.required_config();
        let allowed = list.map(|(_, name)| required.iter().find(|(known, _)| known == name));
        if rule.pair.is_some() || allowed == Some(None) {
            return None;
        }

        let mut request = HandshakeRequest::new(rule)?;
        if let (Some((place, _)), Some(Some((_, value)))) = (list, allowed) {
            request.set(place, value);
        }

        if let Some(name) = &rule.require.query_secret {
            request.set(
                &format!("query:{name}"),
                &format!("${}", variable(&self.name, "VERIFY_TOKEN")),
            );
        }

        if rule.verify_first && *self.verifier.auth_scheme() != AuthScheme::Open {
            request.signed(&self.test_command()?)
        } else {
            Some(request.curl(&self.local_url()))
        }
    }
}
