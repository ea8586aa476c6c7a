//! The crate `tracing`: an event is one line, preceded by the spans that it is in:
//! `deploy{branch=main}: started run=7`.

use crate::log::{Level, line};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::{Debug, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Current, Id, Record};
use tracing_core::subscriber::Interest;
use tracing_core::{Dispatch, Event, Metadata, Subscriber, dispatcher};

struct Lines;

/// A span that is not closed yet.
struct Span {
    metadata: &'static Metadata<'static>,
    /// `deploy{branch=main}`, without the closing brace.
    text: String,
    parent: Option<u64>,
    /// How many handles of it there are.
    handles: usize,
}

thread_local! {
    static SPANS: RefCell<BTreeMap<u64, Span>> = const { RefCell::new(BTreeMap::new()) };
    /// The spans that are entered, innermost last.
    static ENTERED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn install() {
    // A second call changes nothing.
    let _ = dispatcher::set_global_default(Dispatch::new(Lines));
}

// === impl Lines ===

impl Subscriber for Lines {
    /// The level may change: each event is asked for.
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        super::is_enabled(level(metadata.level()))
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let metadata = attributes.metadata();
        let parent = match attributes.parent() {
            Some(parent) => Some(parent.into_u64()),
            None if attributes.is_contextual() => innermost(),
            None => None,
        };
        let span = Span {
            metadata,
            text: format!("{}{{{}", metadata.name(), fields.all().join(" ")),
            parent,
            handles: 1,
        };
        SPANS.with_borrow_mut(|spans| spans.insert(id, span));
        Id::from_u64(id)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        let mut fields = Fields::default();
        values.record(&mut fields);
        SPANS.with_borrow_mut(|spans| {
            if let Some(span) = spans.get_mut(&id.into_u64()) {
                for field in fields.all() {
                    let separator = if span.text.ends_with('{') { "" } else { " " };
                    let _ = write!(span.text, "{separator}{field}");
                }
            }
        });
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let span = match event.parent() {
            Some(parent) => Some(parent.into_u64()),
            None if event.is_contextual() => innermost(),
            None => None,
        };
        let words = fields.all().join(" ");
        line(
            level(event.metadata().level()),
            format_args!("{}{words}", context(span)),
        );
    }

    fn enter(&self, id: &Id) {
        ENTERED.with_borrow_mut(|entered| entered.push(id.into_u64()));
    }

    fn exit(&self, id: &Id) {
        ENTERED.with_borrow_mut(|entered| {
            if let Some(at) = entered.iter().rposition(|one| *one == id.into_u64()) {
                entered.remove(at);
            }
        });
    }

    fn clone_span(&self, id: &Id) -> Id {
        SPANS.with_borrow_mut(|spans| {
            if let Some(span) = spans.get_mut(&id.into_u64()) {
                span.handles += 1;
            }
        });
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        SPANS.with_borrow_mut(|spans| {
            let Some(span) = spans.get_mut(&id.into_u64()) else {
                return false;
            };
            span.handles -= 1;
            let is_last = span.handles == 0;
            if is_last {
                spans.remove(&id.into_u64());
            }
            is_last
        })
    }

    fn current_span(&self) -> Current {
        let Some(id) = innermost() else {
            return Current::none();
        };
        let metadata = SPANS.with_borrow(|spans| spans.get(&id).map(|span| span.metadata));
        metadata.map_or_else(Current::none, |metadata| {
            Current::new(Id::from_u64(id), metadata)
        })
    }
}

fn innermost() -> Option<u64> {
    ENTERED.with_borrow(|entered| entered.last().copied())
}

/// The spans around an event, outermost first, each with a colon.
fn context(innermost: Option<u64>) -> String {
    SPANS.with_borrow(|spans| {
        let mut around = Vec::new();
        let mut next = innermost;
        while let Some(span) = next.and_then(|id| spans.get(&id)) {
            around.push(span);
            next = span.parent;
        }

        let mut text = String::new();
        for span in around.into_iter().rev() {
            let words = &span.text;
            let _ = match words.strip_suffix('{') {
                Some(name) => write!(text, "{name}: "),
                None => write!(text, "{words}}}: "),
            };
        }
        text
    })
}

fn level(level: &tracing_core::Level) -> Level {
    match *level {
        tracing_core::Level::ERROR => Level::Error,
        tracing_core::Level::WARN => Level::Warn,
        tracing_core::Level::INFO => Level::Info,
        tracing_core::Level::DEBUG => Level::Debug,
        _ => Level::Trace,
    }
}

/// The message of an event, and its fields as `name=value`.
#[derive(Default)]
struct Fields {
    message: Option<String>,
    fields: Vec<String>,
}

// === impl Fields ===

impl Fields {
    fn all(self) -> Vec<String> {
        self.message.into_iter().chain(self.fields).collect()
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = Some(value.to_owned());
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.message = Some(format!("{value:?}"));
        } else {
            self.fields.push(format!("{}={value:?}", field.name()));
        }
    }

    /// With the sources of the error: `a: b: c`.
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let chain = crate::failure::chain_of(value);
        self.fields.push(format!("{}={chain}", field.name()));
    }
}
