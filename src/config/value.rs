//! What the value of an option can be, and how it is read from a text.

use std::collections::BTreeMap;

use crate::model::secret::Secret;

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A text that says something.
    Text,
    /// One that nobody else may see.
    Secret,
    /// One of these words.
    Word(&'static [&'static str]),
    /// True or false.
    Flag,
    /// A whole number within bounds.
    Integer {
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// A number within bounds.
    Decimal {
        /// The least.
        min: f64,
        /// The most.
        max: f64,
    },
    /// Names with a text each.
    Headers,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Given, but empty: what stands in a lower place doesn't count.
    Nothing,
    /// Whatever is written as text: where it has ended up, nobody knows which of them are secrets.
    Text(Secret),
    /// True or false.
    Flag(bool),
    /// A whole number.
    Integer(i64),
    /// A number.
    Decimal(f64),
    /// Names and their texts; an empty text takes the name away.
    Headers(BTreeMap<String, Secret>),
}

impl Value {
    /// A flag the other way round.
    pub fn opposite(self) -> Self {
        if let Value::Flag(flag) = self { Value::Flag(!flag) } else { self }
    }
}

impl Kind {
    /// Reads a value from a text; an error says what is wanted.
    pub fn parse(self, text: &str) -> Result<Value, String> {
        let value = match self {
            Kind::Text | Kind::Secret => Some(Value::Text(text.into())),
            Kind::Word(words) => words.contains(&text).then(|| Value::Text(text.into())),
            // The spellings that Temporal's clients know.
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

    /// What a value must be, for an error or the documentation.
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
