//! Spans: what happened from when to when, and below which span.

use std::time::SystemTime;

use landfall_model::{SpanId, TraceContext};

/// A span that has begun: its ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenSpan {
    /// The span.
    pub context: TraceContext,
    /// The span above it. `None`: it is the first one of its trace.
    pub parent: Option<SpanId>,
    /// A span that this one follows: the attempt before a retry.
    pub link: Option<TraceContext>,
}

/// A span that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The ids.
    pub ids: OpenSpan,
    /// What was done.
    pub name: String,
    /// Which side of a call it is.
    pub kind: Kind,
    /// When it began.
    pub start: SystemTime,
    /// When it ended.
    pub end: SystemTime,
    /// Names, and values that are no secrets.
    pub attributes: Vec<(&'static str, Value)>,
    /// The word of an error. `None`: it succeeded.
    pub error: Option<&'static str>,
}

/// Which side of a call a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A step within the node.
    Internal,
    /// A request that the node answers.
    Server,
    /// A call that the node makes.
    Client,
    /// The handling of a stored event.
    Consumer,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text. It is truncated when it is sent.
    Text(String),
    /// One of a fixed list.
    Word(&'static str),
    /// A number.
    Int(i64),
    /// Yes or no.
    Bool(bool),
}

// === impl OpenSpan ===

impl OpenSpan {
    /// A span below this one.
    pub fn child(&self) -> OpenSpan {
        OpenSpan {
            context: self.context.child(),
            parent: Some(self.context.span_id),
            link: None,
        }
    }

    /// The end of this span.
    pub fn ended(&self, name: &str, kind: Kind, start: SystemTime, end: SystemTime) -> Span {
        Span {
            ids: *self,
            name: name.to_owned(),
            kind,
            start,
            end: end.max(start),
            attributes: Vec::new(),
            error: None,
        }
    }
}

// === impl Span ===

impl Span {
    /// Adds an attribute.
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Span {
        self.attributes.push((name, value.into()));
        self
    }

    /// Adds an attribute if there is a value.
    pub fn with_some(self, name: &'static str, value: Option<impl Into<Value>>) -> Span {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// The span failed, if there is a word for it.
    pub fn failed(self, error: Option<&'static str>) -> Span {
        Span { error, ..self }
    }
}

// === impl Value ===

impl From<&'static str> for Value {
    fn from(word: &'static str) -> Value {
        Value::Word(word)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Value {
        Value::Int(value)
    }
}

impl From<u16> for Value {
    fn from(value: u16) -> Value {
        Value::Int(value.into())
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Value {
        Value::Int(value.into())
    }
}
