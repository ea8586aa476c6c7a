//! The search of the events page: words with qualifiers, such as `hook:github state:dead took:>2s`,
//! turned into the parameters of `GET /api/events`.

/// The most bytes of a search.
pub(crate) const BYTES_MAX: usize = 1_000;

/// A qualifier, and what to write after it.
pub(crate) const QUALIFIERS: [(&str, &str); 12] = [
    ("hook:", "the name of a hook"),
    (
        "state:",
        "waiting, pending, running, done, dead, resolved, discarded, filtered or superseded",
    ),
    ("type:", "the event type"),
    ("delivery:", "the provider's delivery id"),
    ("reason:", "part of the reason of a failure"),
    ("outcome:", "done, retry, reject, trap, timeout …"),
    ("took:", ">2s: an attempt took at least this long"),
    ("since:", "1h, or 2026-01-31T08:15:30Z"),
    ("until:", "1h, or 2026-01-31T08:15:30Z"),
    ("json.", "json.repo.name:value compares a field of the body"),
    ("header.", "header.x-github-event:push compares a header"),
    (
        "text:",
        "text in the body; a word without a qualifier means the same",
    ),
];

/// A search that has been read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query {
    /// Names and values of the parameters of `GET /api/events`.
    pub(crate) parameters: Vec<(&'static str, String)>,
    /// What cannot be used, and what to write.
    pub(crate) problems: Vec<String>,
}

/// The parameters of `GET /api/v1/events` for a search as on the events page. The error says what
/// cannot be used, and what to write.
pub fn search_parameters(text: &str) -> Result<Vec<(&'static str, String)>, String> {
    let Query {
        parameters,
        problems,
    } = Query::parse(text);
    match problems.into_iter().next() {
        Some(problem) => Err(problem),
        None => Ok(parameters),
    }
}

/// A search without the values that it looks for in events, which may be personal data: for the
/// audit record.
pub(crate) fn without_content(text: &str) -> String {
    let parameters = Query::parse(text).parameters.into_iter();
    let shown = parameters.map(|(name, value)| match name {
        "hook" | "state" | "type" | "since" | "until" | "outcome" | "slower" => {
            format!("{name}:{value}")
        }
        _ => format!("{name}:(not recorded)"),
    });
    shown.collect::<Vec<_>>().join(" ")
}

// === impl Query ===

impl Query {
    /// Reads a search. Words are separated by white space; double quotes keep a value together.
    pub(crate) fn parse(text: &str) -> Query {
        let mut query = Query::default();
        if text.len() > BYTES_MAX {
            query
                .problems
                .push(format!("a search has at most {BYTES_MAX} bytes"));
            return query;
        }

        let mut words: Vec<String> = Vec::new();
        for token in tokens(text) {
            query.read(token, &mut words);
        }
        if !words.is_empty() {
            query.add("text", words.join(" "));
        }

        query
    }

    /// The value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.as_str())
    }

    fn read(&mut self, token: Token, words: &mut Vec<String>) {
        let Some((name, value)) = token.qualified() else {
            words.push(token.text.clone());
            return;
        };

        if value.is_empty() {
            self.problems.push(format!("`{name}:` has no value"));
            return;
        }

        match name {
            "hook" | "state" | "type" | "reason" | "outcome" | "since" | "until" | "text" => {
                let parameter = QUALIFIED
                    .into_iter()
                    .find(|parameter| *parameter == name)
                    .expect("the names of the arm are in the list");
                self.add(parameter, value.to_owned());
            }
            "delivery" => self.add("delivery_id", value.to_owned()),
            "took" => self.add("slower", value.trim_start_matches(['>', '=']).to_owned()),
            _ => {
                if let Some(path) = name.strip_prefix("json.") {
                    self.add("value", format!("{}={value}", pointer(path)));
                } else if let Some(header) = name.strip_prefix("header.") {
                    self.add("header", format!("{header}: {value}"));
                } else {
                    self.problems.push(format!(
                        "`{name}:` is no qualifier: put the word into double quotes to search for it as text"
                    ));
                }
            }
        }
    }

    fn add(&mut self, name: &'static str, value: String) {
        if self.get(name).is_some() {
            self.problems
                .push(format!("only one `{name}` can be searched for"));
            return;
        }

        self.parameters.push((name, value));
    }
}

/// Qualifiers that are parameters of the same name.
const QUALIFIED: [&str; 8] = [
    "hook", "state", "type", "reason", "outcome", "since", "until", "text",
];

/// A word of a search. `split` is the place of the colon of a qualifier, outside of quotes.
#[derive(Debug, Default)]
struct Token {
    text: String,
    split: Option<usize>,
    is_quoted: bool,
}

// === impl Token ===

impl Token {
    fn qualified(&self) -> Option<(&str, &str)> {
        let split = self.split?;
        Some((&self.text[..split], &self.text[split + 1..]))
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut token = Token::default();
    let mut is_inside = false;
    for c in text.chars() {
        match c {
            '"' => {
                is_inside = !is_inside;
                token.is_quoted = true;
            }
            c if c.is_whitespace() && !is_inside => {
                if !token.text.is_empty() || token.is_quoted {
                    tokens.push(std::mem::take(&mut token));
                }
            }
            ':' if !is_inside
                && !token.is_quoted
                && token.split.is_none()
                && is_name(&token.text) =>
            {
                token.split = Some(token.text.len());
                token.text.push(c);
            }
            c => token.text.push(c),
        }
    }
    if !token.text.is_empty() || token.is_quoted {
        tokens.push(token);
    }

    tokens.retain(|token| !token.text.is_empty());
    tokens
}

/// Whether a word before a colon can be a qualifier: `https` of a URL looks like one, so that a URL
/// must be in quotes.
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
}

/// `repo.name` as a JSON pointer. A field with a dot in its name cannot be written.
fn pointer(path: &str) -> String {
    path.split('.')
        .map(|part| format!("/{}", part.replace('~', "~0").replace('/', "~1")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(&'static str, String)> {
        let query = Query::parse(text);
        assert_eq!(query.problems, Vec::<String>::new(), "{text}");
        query.parameters
    }

    #[test]
    fn qualifiers_become_parameters() {
        for (text, expected) in [
            ("hook:github", vec![("hook", "github")]),
            (
                "state:dead since:1h",
                vec![("state", "dead"), ("since", "1h")],
            ),
            (
                "delivery:d-1 type:push",
                vec![("delivery_id", "d-1"), ("type", "push")],
            ),
            ("took:>2s", vec![("slower", "2s")]),
            ("took:>=250ms", vec![("slower", "250ms")]),
            ("json.repo.name:a=b", vec![("value", "/repo/name=a=b")]),
            ("json.a/b.c~d:1", vec![("value", "/a~1b/c~0d=1")]),
            (
                "header.x-github-event:push",
                vec![("header", "x-github-event: push")],
            ),
            (
                "since:2026-01-31T08:15:30Z",
                vec![("since", "2026-01-31T08:15:30Z")],
            ),
            ("reason:\"no such host\"", vec![("reason", "no such host")]),
            ("", vec![]),
            ("   ", vec![]),
        ] {
            let expected: Vec<_> = expected
                .into_iter()
                .map(|(name, value)| (name, value.to_owned()))
                .collect();
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn other_words_are_text() {
        for (text, expected) in [
            ("refs/heads/main", "refs/heads/main"),
            ("two words", "two words"),
            ("\"https://x.example/a b\"", "https://x.example/a b"),
            ("\"hook:github\"", "hook:github"),
            ("text:\"a: b\"", "a: b"),
            ("<script>alert(1)</script>", "<script>alert(1)</script>"),
            ("\u{202e}evil", "\u{202e}evil"),
        ] {
            assert_eq!(read(text), [("text", expected.to_owned())], "{text}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let long = "x".repeat(BYTES_MAX + 1);
        for (text, part) in [
            ("hook:", "has no value"),
            ("colour:red", "`colour:` is no qualifier"),
            ("hook:a hook:b", "only one `hook`"),
            (long.as_str(), "at most"),
        ] {
            let problems = Query::parse(text).problems;
            assert!(
                problems.iter().any(|problem| problem.contains(part)),
                "{problems:?}"
            );
        }
    }
}
