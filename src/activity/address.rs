//! How the server identifies an open activity: by its task token, or by its ids.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use zeroize::Zeroizing;

use super::options::OpenOptions;
use crate::model::{
    attempt::{Attempt, Ids, Subject, Target},
    error::{Error, Result},
    secret,
    status::Status,
    token::{self, Token},
};

/// The address of an activity.
#[derive(Debug)]
pub enum ActivityAddress {
    /// By its task token, which also contains the ids and the attempt.
    Token(Zeroizing<Box<[u8]>>),
    /// By ids.
    Ids(Box<ByIds>),
}

/// An activity that is identified by its ids.
#[derive(Debug)]
pub struct ByIds {
    /// The ids as the holder gave them.
    key: Zeroizing<Box<[u8]>>,
    /// The ids, with the run once it is known.
    ids: Ids,
    /// The known parts of the attempt.
    attempt: Attempt,
    token: Option<Bytes>,
    standing: TokenOrigin,
}

/// The origin of the token, and whether the attempt is known.
#[derive(Clone, Copy, Debug, PartialEq)]
enum TokenOrigin {
    /// The holder gave the token. The ids only serve to describe the activity.
    Given,
    /// There is no token, and the server hasn't been asked yet.
    Unknown,
    /// The server was asked. If there is a token, it was derived, and the server may not accept it.
    Found,
    /// The server accepted the derived token.
    Taken,
}

impl ActivityAddress {
    /// Creates the address from what the holder gave: a token, ids, or both.
    pub fn given(token: &[u8], options: &mut OpenOptions) -> Result<Self> {
        let attempt = Attempt { number: options.attempt, started_at: 0 };
        let ids = match (token, options.ids.take()) {
            ([], Some(ids)) => {
                let key = Zeroizing::new(format!("{ids:?}").into_bytes().into());
                let by = ByIds { key, ids, attempt, token: None, standing: TokenOrigin::Unknown };
                return Ok(ActivityAddress::Ids(Box::new(by)));
            }
            (_, ids) => ids,
        };
        token::check(token)?;
        let read = Token::read(token);
        if let Some(read) = &read
            && !(read.attempt.may_be(attempt) && ids.as_ref().is_none_or(|ids| read.ids.may_be(ids)))
        {
            return Err(Error::new(
                Status::Config,
                "the ids or the attempt identify another activity than the token: correct them, or give the token alone",
            ));
        }
        if read.is_none() && ids.is_none() && options.initial_details.is_none() && options.pulse {
            return Err(Error::new(
                Status::TokenUnreadable,
                "the token can't be parsed, so the server can't be asked for the activity's progress: give \
                 initial_details, the activity's ids, or pulse false",
            ));
        }
        Ok(match (read, ids) {
            (None, Some(ids)) => {
                let key = Zeroizing::new(token.into());
                let token = Some(secret::shared(token));
                let by = ByIds { key, ids, attempt, token, standing: TokenOrigin::Given };
                ActivityAddress::Ids(Box::new(by))
            }
            (_, _) => ActivityAddress::Token(Zeroizing::new(token.into())),
        })
    }

    /// Returns the bytes that are unique among open activities.
    pub fn key(&self) -> &[u8] {
        match self {
            ActivityAddress::Token(token) => token,
            ActivityAddress::Ids(by) => &by.key,
        }
    }

    /// Returns a hash of the workflow, or an arbitrary value when it is unknown.
    pub fn workflow(&self) -> u32 {
        let mut hasher = DefaultHasher::new();
        let activity = match self {
            ActivityAddress::Token(token) => token::activity(token),
            ActivityAddress::Ids(by) => Some(by.ids.activity()),
        };
        match activity {
            Some(([], activity_id)) => activity_id.hash(&mut hasher),
            Some((workflow_id, _)) => workflow_id.hash(&mut hasher),
            None => fastrand::u64(..).hash(&mut hasher),
        }
        u32::try_from(hasher.finish() >> 32).unwrap_or(0)
    }

    /// Returns the activity's ids, if they can be read.
    pub fn ids(&self) -> Option<Ids> {
        match self {
            ActivityAddress::Token(token) => Token::read(token).map(|read| read.ids),
            ActivityAddress::Ids(by) => Some(by.ids.clone()),
        }
    }

    /// Returns the number of the attempt, from 1; 0 when unknown.
    pub fn attempt_number(&self) -> i32 {
        self.attempt().number
    }

    /// Returns the known parts of the attempt.
    pub fn attempt(&self) -> Attempt {
        match self {
            ActivityAddress::Token(token) => {
                Token::read(token).map_or(Attempt::default(), |read| read.attempt)
            }
            ActivityAddress::Ids(by) => by.attempt,
        }
    }

    /// Returns the event that scheduled the activity in its workflow's history; `None` if the token doesn't contain it.
    pub fn scheduled_event_id(&self) -> Option<i64> {
        let token = match self {
            ActivityAddress::Token(token) => Some(&token[..]),
            ActivityAddress::Ids(by) => by.token.as_deref(),
        };
        token.and_then(Token::read).map(|read| read.scheduled_event_id).filter(|id| *id > 0)
    }

    /// Returns how requests identify the activity; `None` while that isn't known.
    pub fn addressed_by(&self) -> Option<&'static str> {
        match self {
            ActivityAddress::Token(_) => Some("token"),
            ActivityAddress::Ids(by) => match (by.standing, &by.token) {
                (TokenOrigin::Given, _) => Some("token"),
                (TokenOrigin::Taken, _) => Some("derived_token"),
                (TokenOrigin::Found, None) => Some("ids"),
                (TokenOrigin::Found, Some(_)) | (TokenOrigin::Unknown, _) => None,
            },
        }
    }

    /// Returns what to ask the server for when the activity is described.
    pub fn subject(&self) -> Subject {
        match self {
            ActivityAddress::Token(token) => Subject::Token(secret::shared(token.as_ref())),
            ActivityAddress::Ids(by) => Subject::Ids {
                ids: by.ids.clone(),
                attempt: by.attempt,
                alone: by.standing != TokenOrigin::Given,
            },
        }
    }

    /// Returns whether the attempt is known, so that something can be sent.
    pub fn is_settled(&self) -> bool {
        !matches!(self, ActivityAddress::Ids(by) if by.standing == TokenOrigin::Unknown)
    }

    /// Stores the server's answer: the ids with their run, the attempt with its start, and the derived token.
    pub fn found(&mut self, ids: Ids, attempt: Attempt, token: Option<Bytes>) {
        if let ActivityAddress::Ids(by) = self
            && by.standing == TokenOrigin::Unknown
        {
            (by.ids, by.attempt, by.token, by.standing) = (ids, attempt, token, TokenOrigin::Found);
        }
    }

    /// Returns where a beat is sent. `fresh`: the lease is known to hold, so a token may be sent without asking
    /// first.
    pub fn target(&self, fresh: bool) -> Target {
        match self {
            ActivityAddress::Token(token) => Target::Token(secret::shared(token.as_ref())),
            ActivityAddress::Ids(by) => match &by.token {
                Some(token) if fresh || by.standing == TokenOrigin::Given => Target::Token(token.clone()),
                token => Target::Checked { ids: by.ids.clone(), attempt: by.attempt, token: token.clone() },
            },
        }
    }

    /// Returns where the ending call is sent. A derived token is used only after the server has accepted one:
    /// NOT_FOUND for an unaccepted token would look like the end of the activity.
    pub fn ending_target(&self, fresh: bool) -> Target {
        match self {
            ActivityAddress::Ids(by) if self.ends_by_ids() => {
                Target::Checked { ids: by.ids.clone(), attempt: by.attempt, token: None }
            }
            _ => self.target(fresh),
        }
    }

    /// Returns whether the ending call would be sent by ids, without a token.
    pub fn ends_by_ids(&self) -> bool {
        matches!(self, ActivityAddress::Ids(by) if matches!(by.standing, TokenOrigin::Unknown | TokenOrigin::Found))
    }

    /// Notes that an ending call has ended the activity.
    pub fn ended(&mut self) {
        if self.ends_by_ids()
            && let ActivityAddress::Ids(by) = self
        {
            (by.token, by.standing) = (None, TokenOrigin::Found);
        }
    }

    /// Notes that a beat was acknowledged.
    pub fn acknowledged(&mut self) {
        if let ActivityAddress::Ids(by) = self
            && by.standing == TokenOrigin::Found
            && by.token.is_some()
        {
            by.standing = TokenOrigin::Taken;
        }
    }

    /// Notes that a beat was refused with `status`. Returns true if the derived token may be the reason; it isn't
    /// sent again.
    pub fn refused(&mut self, status: Status) -> bool {
        let of_tokens = [Status::NotFound, Status::InvalidArgument, Status::TokenUnreadable];
        match self {
            ActivityAddress::Ids(by) if by.standing == TokenOrigin::Found && of_tokens.contains(&status) => {
                by.token.take().is_some()
            }
            _ => false,
        }
    }
}
