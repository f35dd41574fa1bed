//! What happened in a simulation, and the sequence diagram of its end.

use std::{fmt::Write, sync::Mutex, time::Duration};

use super::world::lock;

/// Whose event it is: its column in the diagram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lane {
    Client,
    Connection,
    Server,
    World,
}

/// The events so far.
#[derive(Default)]
pub struct Trace(Mutex<Vec<Event>>);

#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub at: Duration,
    pub lane: Lane,
    pub text: String,
}

/// The widths of the columns of the client and of the connections.
const CLIENT: usize = 44;
const CONNECTION: usize = 40;

impl Trace {
    pub fn add(&self, at: Duration, lane: Lane, text: String) {
        lock(&self.0).push(Event { at, lane, text });
    }

    pub fn events(&self) -> Vec<Event> {
        lock(&self.0).clone()
    }

    /// The last events as a diagram: the client, its connections, the server. With `only`, those that name this activity, and those that
    /// name none.
    pub fn diagram(&self, last: usize, only: Option<&str>) -> String {
        let events = lock(&self.0);
        let concerns = |event: &&Event| {
            let mut names = names(&event.text).peekable();
            only.is_none_or(|only| names.peek().is_none() || names.any(|name| name == only))
        };
        let shown: Vec<_> = events.iter().rev().filter(concerns).take(last).collect();
        let mut text =
            format!("{:>9}  {:<CLIENT$} {:<CONNECTION$} {}\n", "seconds", "client", "connections", "server");
        for event in shown.into_iter().rev() {
            let seconds = event.at.as_secs_f64();
            let line = match event.lane {
                Lane::Client => event.text.clone(),
                Lane::Connection => format!("{:CLIENT$} {}", "", event.text),
                Lane::Server => format!("{:CLIENT$} {:CONNECTION$} {}", "", "", event.text),
                Lane::World => format!("---- {} ----", event.text),
            };
            // Writing to a string can't fail.
            let _ = writeln!(text, "{seconds:9.3}  {line}");
        }
        text
    }
}

/// The activities that a text names, as `a7`.
pub fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| is_activity(word))
}

fn is_activity(word: &str) -> bool {
    word.strip_prefix('a')
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}
