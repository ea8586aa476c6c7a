//! docs/handlers/contract.md, written from wit/: every type, field and function with its comment.

use std::fmt::Write;

use landfall_tests::root;
use wit_bindgen_core::wit_parser::{
    Docs, Function, Interface, Resolve, Type, TypeDef, TypeDefKind, TypeId,
};

const PAGE: &str = "docs/handlers/contract.md";
/// In the order in which an author meets them.
const PACKAGES: [&str; 7] = ["event", "hook", "init", "http", "kv", "table", "emit"];
/// The text before the generated part ends here.
const MARK: &str =
    "<!-- Generated from wit/: `LANDFALL_UPDATE_DOCS=1 cargo test --test it contract::page`. -->\n";

#[test]
fn page_shows_the_contract() {
    let path = root().join(PAGE);
    let page = std::fs::read_to_string(&path).expect("the page exists");
    let (head, _) = page.split_once(MARK).expect("the page has the mark");
    let expected = format!("{head}{MARK}{}", Page::of_wit().text);

    if std::env::var_os("LANDFALL_UPDATE_DOCS").is_some() {
        std::fs::write(&path, &expected).expect("the page can be written");
    }
    let page = std::fs::read_to_string(&path).expect("the page exists");
    assert!(
        page == expected,
        "{PAGE} differs from wit/: write it anew with LANDFALL_UPDATE_DOCS=1"
    );
}

struct Page {
    resolve: Resolve,
    text: String,
}

// === impl Page ===

impl Page {
    fn of_wit() -> Page {
        let mut resolve = Resolve::default();
        // Each package after those that it uses.
        for package in ["event", "http", "hook", "init", "kv", "table", "emit"] {
            let file = root().join("wit").join(format!("{package}.wit"));
            resolve.push_path(file).expect("the file is WIT");
        }
        let mut page = Page {
            resolve,
            text: String::new(),
        };
        for package in PACKAGES {
            page.package(package);
        }
        page
    }

    fn package(&mut self, name: &str) {
        let (_, package) = self
            .resolve
            .packages
            .iter()
            .find(|(_, package)| package.name.name == name)
            .expect("the package was read");
        let package = package.clone();

        self.line(&format!("\n## `{}`\n", package.name));
        self.docs(&package.docs);
        for (name, id) in &package.interfaces {
            let interface = self.resolve.interfaces[*id].clone();
            self.interface(name, &interface);
        }
    }

    fn interface(&mut self, name: &str, interface: &Interface) {
        self.line(&format!("\n### Interface `{name}`\n"));
        self.docs(&interface.docs);
        for (name, id) in &interface.types {
            let of = self.resolve.types[*id].clone();
            self.type_def(name, &of);
        }
        for function in interface.functions.values() {
            self.function(function);
        }
    }

    fn function(&mut self, function: &Function) {
        let params: Vec<String> = function
            .params
            .iter()
            .map(|param| format!("{}: {}", param.name, self.spelled(&param.ty)))
            .collect();
        let result = function.result.as_ref().map(|result| self.spelled(result));
        let result = result.map_or_else(String::new, |result| format!(" -> {result}"));
        let name = &function.name;
        self.line(&format!("\n#### `{name}`\n"));
        self.line(&format!(
            "```wit\n{name}: func({}){result}\n```\n",
            params.join(", ")
        ));
        self.docs(&function.docs);
    }

    fn type_def(&mut self, name: &str, of: &TypeDef) {
        let rows: Vec<(String, String, &Docs)> = match &of.kind {
            TypeDefKind::Record(record) => {
                let fields = record.fields.iter();
                fields
                    .map(|field| (field.name.clone(), self.spelled(&field.ty), &field.docs))
                    .collect()
            }
            TypeDefKind::Variant(variant) => {
                let cases = variant.cases.iter();
                let payload =
                    |ty: &Option<Type>| ty.as_ref().map_or_else(String::new, |ty| self.spelled(ty));
                cases
                    .map(|case| (case.name.clone(), payload(&case.ty), &case.docs))
                    .collect()
            }
            TypeDefKind::Enum(of) => {
                let cases = of.cases.iter();
                cases
                    .map(|case| (case.name.clone(), String::new(), &case.docs))
                    .collect()
            }
            // A type that the interface takes from another one stands there.
            _ => return,
        };

        let (kind, column) = (
            of.kind.as_str(),
            if of.kind.as_str() == "record" {
                "field"
            } else {
                "case"
            },
        );
        let mut table = format!("| {column} | type | meaning |\n|---|---|---|\n");
        for (name, ty, docs) in rows {
            let ty = if ty.is_empty() { ty } else { format!("`{ty}`") };
            let meaning = paragraphs(docs).join("<br>").replace('|', "\\|");
            writeln!(
                table,
                "{}",
                format!("| `{name}` | {ty} | {meaning} |").replace("  ", " ")
            )
            .expect("a String takes any text");
        }
        self.line(&format!("\n#### `{name}` ({kind})\n"));
        self.docs(&of.docs);
        self.line(&format!("\n{table}"));
    }

    /// A type as WIT spells it.
    fn spelled(&self, ty: &Type) -> String {
        let list = match ty {
            Type::Bool => "bool",
            Type::U8 => "u8",
            Type::U16 => "u16",
            Type::U32 => "u32",
            Type::S32 => "s32",
            Type::F64 => "f64",
            Type::String => "string",
            Type::Id(id) => return self.spelled_id(*id),
            other => panic!("the contract has no {other:?}"),
        };
        list.to_owned()
    }

    fn spelled_id(&self, id: TypeId) -> String {
        let of = &self.resolve.types[id];
        if let Some(name) = &of.name {
            return name.clone();
        }
        let any = |ty: &Option<Type>| {
            ty.as_ref()
                .map_or_else(|| "_".to_owned(), |ty| self.spelled(ty))
        };
        match &of.kind {
            TypeDefKind::Option(ty) => format!("option<{}>", self.spelled(ty)),
            TypeDefKind::List(ty) => format!("list<{}>", self.spelled(ty)),
            TypeDefKind::Tuple(tuple) => {
                let types: Vec<String> = tuple.types.iter().map(|ty| self.spelled(ty)).collect();
                format!("tuple<{}>", types.join(", "))
            }
            TypeDefKind::Result(result) => {
                format!("result<{}, {}>", any(&result.ok), any(&result.err))
            }
            other => panic!("the contract has no {other:?} without a name"),
        }
    }

    /// A comment as Markdown, one line a paragraph or list item.
    fn docs(&mut self, docs: &Docs) {
        let text = paragraphs(docs).join("\n\n").replace("\n\n- ", "\n- ");
        if !text.is_empty() {
            self.line(&text);
        }
    }

    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }
}

fn paragraphs(docs: &Docs) -> Vec<String> {
    let mut paragraphs: Vec<String> = Vec::new();
    let mut is_open = false;
    for line in docs.contents.as_deref().unwrap_or_default().lines() {
        let line = line.trim();
        if line.is_empty() {
            is_open = false;
        } else if is_open && !line.starts_with("- ") {
            let last = paragraphs.last_mut().expect("a paragraph is open");
            last.push(' ');
            last.push_str(line);
        } else {
            paragraphs.push(line.to_owned());
            is_open = true;
        }
    }
    paragraphs
}
