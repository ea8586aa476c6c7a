//! What is sent, made of the templates.

use crate::Settings;
use landfall_calls::mistake;
use landfall_sdk::{Event, Failure, Template, settings};
use serde::Deserialize;

/// One address, or a list.
#[settings]
#[derive(Deserialize)]
#[serde(untagged, expecting = "an address, or a list of addresses")]
pub enum Recipients {
    One(Template),
    Several(Vec<Template>),
}

/// An email.
pub struct Message<'a> {
    pub event: &'a str,
    pub from: Address,
    pub to: Vec<Address>,
    pub cc: Vec<Address>,
    pub bcc: Vec<Address>,
    pub reply_to: Option<Address>,
    pub subject: String,
    pub text: Option<String>,
    pub html: Option<String>,
}

/// `mail@example.com`, or `Example <mail@example.com>`.
#[derive(Debug, PartialEq)]
pub struct Address {
    pub name: Option<String>,
    pub email: String,
}

impl<'a> Message<'a> {
    pub fn of(settings: &Settings, event: &'a Event) -> Result<Self, Failure> {
        let all = |recipients: &Option<Recipients>| match recipients {
            Some(recipients) => recipients.render(event),
            None => Ok(Vec::new()),
        };
        let reply_to = settings.reply_to.as_ref();
        let text = settings.text.as_ref().map(|text| text.render(event));
        let html = settings.html.as_ref().map(|html| html.render_html(event));
        if text.is_none() && html.is_none() {
            return Err(mistake("name a text or an html"));
        }
        let from = Address::parse(&settings.from);
        Ok(Self {
            event: &event.id,
            from: from.ok_or_else(|| mistake("`from` is not one address"))?,
            to: settings.to.render(event)?,
            cc: all(&settings.cc)?,
            bcc: all(&settings.bcc)?,
            reply_to: reply_to.map(|one| rendered(one, event)).transpose()?,
            subject: one_line(&settings.subject.render(event)?),
            text: text.transpose()?,
            html: html.transpose()?,
        })
    }
}

impl Recipients {
    fn render(&self, event: &Event) -> Result<Vec<Address>, Failure> {
        let templates = match self {
            Self::One(template) => std::slice::from_ref(template),
            Self::Several(templates) => templates,
        };
        let addresses = templates.iter().map(|template| rendered(template, event));
        addresses.collect()
    }
}

/// A sender must not be able to add recipients, so a template makes exactly one.
fn rendered(template: &Template, event: &Event) -> Result<Address, Failure> {
    let text = template.render(event)?;
    Address::parse(&text).ok_or_else(|| Failure::reject(format!("{text:?} is not one address")))
}

impl Address {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (name, email) = match text.strip_suffix('>') {
            Some(rest) => {
                let (name, email) = rest.split_once('<')?;
                (Some(name.trim().trim_matches('"').trim()), email.trim())
            }
            None => (None, text),
        };
        let is_email = email.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !domain.contains('@')
        });
        let is_plain =
            |text: &str, not: &str| !text.contains(|c: char| c.is_control() || not.contains(c));
        let is_good = is_email
            && is_plain(email, " ,;:<>()[]\"\\")
            && name.is_none_or(|name| is_plain(name, ",;:<>@\"\\"));
        is_good.then(|| Self {
            name: name.filter(|name| !name.is_empty()).map(str::to_owned),
            email: email.to_owned(),
        })
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let needs_quotes = |c: char| !(c.is_alphanumeric() || " -_'&+!".contains(c));
        match &self.name {
            Some(name) if name.contains(needs_quotes) => write!(f, "\"{name}\" <{}>", self.email),
            Some(name) => write!(f, "{name} <{}>", self.email),
            None => f.write_str(&self.email),
        }
    }
}

/// A subject is one line: a line break in a header would begin another header.
fn one_line(text: &str) -> String {
    text.split(char::is_control)
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(Option<String>, String)> {
        Address::parse(text).map(|address| (address.name, address.email))
    }

    #[test]
    fn addresses_can_have_a_name() {
        let ada = "ada@example.com".to_owned();
        assert_eq!(parsed(" ada@example.com "), Some((None, ada.clone())));
        assert_eq!(
            Address::parse("Ada L. <ada@example.com>")
                .unwrap()
                .to_string(),
            "\"Ada L.\" <ada@example.com>"
        );
        let named = Some((Some("Ada L.".to_owned()), ada.clone()));
        assert_eq!(parsed("Ada L. <ada@example.com>"), named);
        assert_eq!(parsed("\"Ada L.\" <ada@example.com>"), named);
        assert_eq!(parsed("<ada@example.com>"), Some((None, ada)));
    }

    #[test]
    fn several_addresses_are_not_one() {
        for text in [
            "",
            "ada",
            "@example.com",
            "a@b, c@d",
            "a@b;c@d",
            "a@b c@d",
            "a@b\nbcc: c@d",
            "x, c@d <a@b>",
            "A <a@b> <c@d>",
            "A\r\nBcc: c <a@b>",
            "a@b@c",
        ] {
            assert_eq!(parsed(text), None, "{text:?}");
        }
    }

    #[test]
    fn subjects_are_one_line() {
        assert_eq!(one_line(" a\r\nBcc: x\tb "), "a Bcc: x b");
    }
}
