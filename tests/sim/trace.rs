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

/// The events so far, if anybody wants to see them.
pub struct Trace {
    is_on: bool,
    events: Mutex<Vec<Event>>,
}

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
    pub fn new(is_on: bool) -> Self {
        Trace { is_on, events: Mutex::default() }
    }

    pub fn is_on(&self) -> bool {
        self.is_on
    }

    pub fn add(&self, at: Duration, lane: Lane, text: String) {
        lock(&self.events).push(Event { at, lane, text });
    }

    pub fn events(&self) -> Vec<Event> {
        lock(&self.events).clone()
    }

    /// The last events as a diagram: the client, its connections, the server. With `only`, half of them name this activity if there are so
    /// many, and the others name none.
    pub fn diagram(&self, last: usize, only: Option<&str>) -> String {
        let events = lock(&self.events);
        let is_named = |event: &Event| only.is_some_and(|only| names(&event.text).any(|name| name == only));
        let is_general = |event: &Event| only.is_none() || names(&event.text).next().is_none();
        let newest = |concerns: &dyn Fn(&Event) -> bool, count| -> Vec<usize> {
            let at = events.iter().enumerate().rev().filter(|(_, event)| concerns(event)).take(count);
            at.map(|(at, _)| at).collect()
        };
        let named = newest(&is_named, last / 2);
        let mut shown = newest(&is_general, last - named.len());
        shown.extend(named);
        shown.sort_unstable();
        let mut text =
            format!("{:>9}  {:<CLIENT$} {:<CONNECTION$} {}\n", "seconds", "client", "connections", "server");
        for event in shown.into_iter().filter_map(|at| events.get(at)) {
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
