//! How the server knows_details an activity that is held open: by its task token, or by its ids.

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

/// How the server knows_details the activity.
#[derive(Debug)]
pub enum ActivityAddress {
    /// By its task token, which says all that there is to know.
    Token(Zeroizing<Box<[u8]>>),
    /// By ids.
    Ids(Box<ByIds>),
}

/// An activity whose ids were given.
#[derive(Debug)]
pub struct ByIds {
    /// As they were given.
    key: Zeroizing<Box<[u8]>>,
    /// With the run, once that is known.
    ids: Ids,
    /// As far as known.
    attempt: Attempt,
    token: Option<Bytes>,
    standing: TokenOrigin,
}

/// What the token is, and whether it is known which attempt is meant.
#[derive(Clone, Copy, Debug, PartialEq)]
enum TokenOrigin {
    /// It was given beside the ids, which are for describing the activity.
    Given,
    /// There is none. The server hasn't been asked yet.
    Unknown,
    /// The server was asked. If there is a token it was derived, and perhaps the server doesn't take such.
    Found,
    /// The server took the one that was derived.
    Taken,
}

impl ActivityAddress {
    /// As the holder gives it: a token or ids, or both.
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
        let token = token::checked(token)?;
        let read = Token::read(&token);
        if let Some(read) = &read
            && !(read.attempt.may_be(attempt) && ids.as_ref().is_none_or(|ids| read.ids.may_be(ids)))
        {
            return Err(Error::new(
                Status::Config,
                "the ids or the attempt are of another activity than the token: give those of one, or the token alone",
            ));
        }
        if read.is_none() && ids.is_none() && options.initial_details.is_none() && options.pulse {
            return Err(Error::new(
                Status::TokenUnreadable,
                "the token isn't one that can be read, so that the progress that the server holds can't be asked for: give \
                 initial_details, the activity's ids, or pulse false",
            ));
        }
        Ok(match (read, ids) {
            (None, Some(ids)) => {
                let key = Zeroizing::new(token.as_ref().into());
                let by = ByIds { key, ids, attempt, token: Some(token), standing: TokenOrigin::Given };
                ActivityAddress::Ids(Box::new(by))
            }
            (_, _) => ActivityAddress::Token(Zeroizing::new(token.as_ref().into())),
        })
    }

    /// What no two activities that are open at once may have in common.
    pub fn key(&self) -> &[u8] {
        match self {
            ActivityAddress::Token(token) => token,
            ActivityAddress::Ids(by) => &by.key,
        }
    }

    /// A hash of the workflow, or of nothing in particular.
    pub fn workflow(&self) -> u32 {
        let mut hasher = DefaultHasher::new();
        match self.ids() {
            Some(ids) if ids.workflow_id.is_empty() => ids.activity_id.hash(&mut hasher),
            Some(ids) => ids.workflow_id.hash(&mut hasher),
            None => fastrand::u64(..).hash(&mut hasher),
        }
        u32::try_from(hasher.finish() >> 32).unwrap_or(0)
    }

    /// Which activity it is, where that can be read.
    pub fn ids(&self) -> Option<Ids> {
        match self {
            ActivityAddress::Token(token) => Token::read(token).map(|read| read.ids),
            ActivityAddress::Ids(by) => Some(by.ids.clone()),
        }
    }

    /// The number of the attempt, from 1; 0 when unknown.
    pub fn attempt_number(&self) -> i32 {
        match self {
            ActivityAddress::Token(token) => Token::read(token).map_or(0, |read| read.attempt.number),
            ActivityAddress::Ids(by) => by.attempt.number,
        }
    }

    /// By what the server is told which activity is meant; `None`: that isn't known yet.
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

    /// What to ask the server of.
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

    /// Whether it is known which attempt is meant, so that something can be sent.
    pub fn is_settled(&self) -> bool {
        !matches!(self, ActivityAddress::Ids(by) if by.standing == TokenOrigin::Unknown)
    }

    /// The server was asked: the ids with their run, the attempt with its start, and the token that was derived.
    pub fn found(&mut self, ids: Ids, attempt: Attempt, token: Option<Bytes>) {
        if let ActivityAddress::Ids(by) = self
            && by.standing == TokenOrigin::Unknown
        {
            (by.ids, by.attempt, by.token, by.standing) = (ids, attempt, token, TokenOrigin::Found);
        }
    }

    /// Where a beat goes. `fresh`: the lease is known to hold, so that a token may be sent without asking before.
    pub fn target(&self, fresh: bool) -> Target {
        match self {
            ActivityAddress::Token(token) => Target::Token(secret::shared(token.as_ref())),
            ActivityAddress::Ids(by) => match &by.token {
                Some(token) if fresh || by.standing == TokenOrigin::Given => Target::Token(token.clone()),
                token => Target::Checked { ids: by.ids.clone(), attempt: by.attempt, token: token.clone() },
            },
        }
    }

    /// Where the call goes that ends the activity: one derived counts only once it was taken, since to hear that it names nothing
    /// would sound like the activity's end.
    pub fn ending_target(&self, fresh: bool) -> Target {
        match self {
            ActivityAddress::Ids(by) if self.ends_by_ids() => {
                Target::Checked { ids: by.ids.clone(), attempt: by.attempt, token: None }
            }
            _ => self.target(fresh),
        }
    }

    /// Whether that call would go by ids, with no token.
    pub fn ends_by_ids(&self) -> bool {
        matches!(self, ActivityAddress::Ids(by) if matches!(by.standing, TokenOrigin::Unknown | TokenOrigin::Found))
    }

    /// A beat was acknowledged.
    pub fn acknowledged(&mut self) {
        if let ActivityAddress::Ids(by) = self
            && by.standing == TokenOrigin::Found
            && by.token.is_some()
        {
            by.standing = TokenOrigin::Taken;
        }
    }

    /// A beat was refused in this way. True when that may be the made-up token's fault, which isn't sent again then.
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
