//! The fields of an event and of the spans around it, collected as text or plain numbers.

use std::fmt;

use tracing::field::{Field, Visit};

/// A field's value: what a number or flag is needs no quotes and no escapes.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number, `true` or `false`, as both formats spell it.
    Plain(String),
    /// Anything else; hostile until escaped.
    Text(String),
}

/// Fields in the order they were recorded; a later value of a name takes the place of the earlier.
#[derive(Debug, Clone, Default)]
pub struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    /// Sets one field.
    pub fn set(&mut self, name: &'static str, value: Value) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name, value)),
        }
    }

    /// Lays the other's fields over these.
    pub fn extend(&mut self, other: Fields) {
        for (name, value) in other.0 {
            self.set(name, value);
        }
    }

    /// Takes one field out, as text.
    pub fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| *known == name)?;
        match self.0.remove(at).1 {
            Value::Plain(text) | Value::Text(text) => Some(text),
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field.name(), Value::Text(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), Value::Text(value.to_owned()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), Value::Plain(value.to_string()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), Value::Plain(value.to_string()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), Value::Plain(value.to_string()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no NaN and no infinity (RFC 8259 §6).
        let text = value.to_string();
        self.set(
            field.name(),
            if value.is_finite() {
                Value::Plain(text)
            } else {
                Value::Text(text)
            },
        );
    }
}
