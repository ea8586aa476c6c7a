//! Reads the payload types of the Rust SDK (`sdk/src/providers`) from their sources, as rustfmt writes them.

/// A struct with public fields.
pub(super) struct Struct {
    pub(super) about: String,
    pub(super) name: String,
    pub(super) fields: Vec<Field>,
}

pub(super) struct Field {
    pub(super) about: String,
    pub(super) name: String,
    pub(super) ty: String,
}

/// A kind of event, and the type of its payload.
pub(super) struct Kind {
    pub(super) about: String,
    pub(super) value: String,
    pub(super) ty: String,
}

pub(super) fn structs(code: &str) -> Vec<Struct> {
    let mut found: Vec<Struct> = Vec::new();
    let mut about = String::new();
    let mut is_open = false;
    for line in code.lines() {
        let trimmed = line.trim();
        if let Some(text) = trimmed.strip_prefix("/// ") {
            about = format!("{about} {text}").trim().to_owned();
        } else if trimmed.starts_with("#[") {
            // Attributes stand between a comment and its item.
        } else if let Some(name) = line
            .strip_prefix("pub struct ")
            .and_then(|rest| rest.strip_suffix(" {"))
        {
            let about = std::mem::take(&mut about);
            found.push(Struct {
                about,
                name: name.to_owned(),
                fields: Vec::new(),
            });
            is_open = true;
        } else if let Some((name, ty)) = trimmed
            .strip_prefix("pub ")
            .filter(|_| is_open)
            .and_then(|field| field.strip_suffix(',')?.split_once(": "))
        {
            let fields = &mut found.last_mut().expect("a struct is open").fields;
            fields.push(Field {
                about: std::mem::take(&mut about),
                name: name.trim_start_matches("r#").to_owned(),
                ty: ty.to_owned(),
            });
        } else {
            is_open &= line != "}";
            about.clear();
        }
    }
    found
}

/// Lines of a macro: `Push(Push) = "push",` or `Charge = "charge",`.
pub(super) fn listed_kinds(code: &str) -> Vec<Kind> {
    let mut kinds = Vec::new();
    let mut about = String::new();
    for line in code.lines().map(str::trim) {
        let line_about = line.strip_prefix("/// ").map(str::to_owned);
        let listed = line
            .strip_suffix("\",")
            .and_then(|rest| rest.split_once(" = \""));
        if let Some((variant, value)) = listed {
            let ty = variant
                .split_once('(')
                .map_or(variant, |(_, ty)| ty.trim_end_matches(')'));
            kinds.push(Kind {
                about: about.clone(),
                value: value.to_owned(),
                ty: ty.to_owned(),
            });
        }
        about = line_about.unwrap_or_default();
    }
    kinds
}

/// The variants of `enum Event`, and the arms of the `match` that chooses one by a text.
pub(super) fn matched_kinds(code: &str) -> Vec<Kind> {
    let (_, variants) = code.split_once("pub enum Event {").expect("an enum");
    let (variants, _) = variants.split_once("\n}").expect("an enum ends");
    let type_of = |variant: &str| {
        let line = variants.lines().find_map(|line| {
            line.trim()
                .strip_prefix(variant)?
                .strip_prefix('(')?
                .strip_suffix("),")
        });
        let ty = line.unwrap_or_else(|| panic!("no variant {variant}"));
        ty.trim_start_matches("Box<")
            .trim_end_matches('>')
            .to_owned()
    };

    let (_, arms) = code.split_once("        match ").expect("a match");
    let (_, arms) = arms.split_once("{\n").expect("a match has arms");
    let (arms, _) = arms.split_once("\n            _ =>").expect("a last arm");
    // Of every other part, the text is between quotes.
    let mut kinds = Vec::new();
    let mut values: Vec<&str> = Vec::new();
    for (at, part) in arms.split('"').enumerate() {
        if at % 2 == 1 {
            values.push(part);
        } else if let Some((_, variant)) = part
            .split_once("Self::")
            .or_else(|| part.split_once("Event::"))
        {
            let variant: String = variant
                .chars()
                .take_while(|c| c.is_alphanumeric())
                .collect();
            values.dedup();
            kinds.extend(values.drain(..).map(|value| Kind {
                about: String::new(),
                value: value.to_owned(),
                ty: type_of(&variant),
            }));
        }
    }
    kinds
}
