//! The kinds of option values, and how they are parsed from text.

use std::collections::BTreeMap;

use crate::model::secret::Secret;

/// The kind of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A text that isn't empty.
    Text,
    /// A text that must not be shown.
    Secret,
    /// One of these words.
    Word(&'static [&'static str]),
    /// True or false.
    Flag,
    /// A whole number within bounds.
    Integer {
        /// The smallest value.
        min: i64,
        /// The largest value.
        max: i64,
    },
    /// A number within bounds.
    Decimal {
        /// The smallest value.
        min: f64,
        /// The largest value.
        max: f64,
    },
    /// Texts by name.
    Headers,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Given but empty: hides the value from a source of lower precedence.
    Nothing,
    /// Any text. Kept secret, because it isn't known which of them are.
    Text(Secret),
    /// True or false.
    Flag(bool),
    /// A whole number.
    Integer(i64),
    /// A number.
    Decimal(f64),
    /// Texts by name; an empty text removes the header.
    Headers(BTreeMap<String, Secret>),
}

impl Value {
    /// Returns the opposite of a flag.
    pub fn opposite(self) -> Self {
        if let Value::Flag(flag) = self { Value::Flag(!flag) } else { self }
    }
}

impl Kind {
    /// Parses a value from text. The error describes the expected value.
    pub fn parse(self, text: &str) -> Result<Value, String> {
        let value = match self {
            Kind::Text | Kind::Secret => Some(Value::Text(text.into())),
            Kind::Word(words) => words.contains(&text).then(|| Value::Text(text.into())),
            // The spellings that Temporal's clients accept.
            Kind::Flag => match text.to_ascii_lowercase().as_str() {
                "true" | "1" => Some(Value::Flag(true)),
                "false" | "0" => Some(Value::Flag(false)),
                _ => None,
            },
            Kind::Integer { min, max } => {
                text.parse().ok().filter(|number| (min..=max).contains(number)).map(Value::Integer)
            }
            Kind::Decimal { min, max } => {
                text.parse().ok().filter(|number| (min..=max).contains(number)).map(Value::Decimal)
            }
            Kind::Headers => None,
        };
        value.ok_or_else(|| self.wanted())
    }

    /// Describes the expected value, for errors and documentation.
    pub fn wanted(self) -> String {
        match self {
            Kind::Text | Kind::Secret => "a string".to_owned(),
            Kind::Word(words) => format!("one of {}", words.join(", ")),
            Kind::Flag => "true or false".to_owned(),
            Kind::Integer { min, max } => format!("an integer from {min} to {max}"),
            Kind::Decimal { min, max } => format!("a number from {min} to {max}"),
            Kind::Headers => "an object of strings".to_owned(),
        }
    }
}
