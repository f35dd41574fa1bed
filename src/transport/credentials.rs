//! What a connection is secured with, read from where the options say that it stands, and again when it changes there.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::tls::{self, Encryption};
use crate::{
    config::{Headers, Origin, Place, Security, files, secret_value},
    model::{
        error::{Error, Result},
        secret::Secret,
        status::Status,
    },
};

/// What goes into a connection, and into every request.
pub struct Credentials {
    /// The headers of every request.
    pub headers: HeaderMap,
    /// How the connection is encrypted; `None`: it isn't.
    pub tls: Option<Arc<Encryption>>,
}

/// The credentials in force.
pub struct CredentialStore {
    /// The headers of every request that don't depend on them.
    headers: HeaderMap,
    state: Mutex<State>,
}

struct State {
    security: Security,
    contents: Contents,
    current: Arc<Credentials>,
    /// No connection has been made yet since connections are to be secured in another way.
    untested: bool,
}

/// What stands where the options say, in the order of [`Security::origins`].
#[derive(PartialEq)]
struct Contents(Vec<Secret>);

impl CredentialStore {
    /// Reads what `security` names. `headers` go with every request too.
    pub fn open(security: Security, headers: HeaderMap) -> Result<Self> {
        let contents = Contents::read(&security)?;
        let current = Arc::new(Credentials::new(&security, &contents, &headers)?);
        let state = State { security, contents, current, untested: false };
        Ok(CredentialStore { headers, state: Mutex::new(state) })
    }

    /// The credentials in force.
    pub fn current(&self) -> Arc<Credentials> {
        self.lock().current.clone()
    }

    /// A connection was made with these.
    pub fn tested(&self, credentials: &Arc<Credentials>) {
        let mut state = self.lock();
        if Arc::ptr_eq(credentials, &state.current) {
            state.untested = false;
        }
    }

    /// Puts others in force, unless there is a mistake in them. Tells whether connections are secured in another way now than the
    /// last one that was made.
    pub fn change(&self, security: Security) -> Result<bool> {
        let contents = Contents::read(&security)?;
        let fresh = Credentials::new(&security, &contents, &self.headers)?;
        let mut state = self.lock();
        // What the server didn't take may be given again, for it may take that now.
        let untested = state.untested
            || security.tls != state.security.tls
            || !contents.same_tls(&security, &state.contents);
        *state = State { security, contents, current: Arc::new(fresh), untested };
        Ok(untested)
    }

    /// Whether there are files that may change.
    pub fn has_files(&self) -> bool {
        self.lock().security.origins().any(Origin::is_file)
    }

    /// Looks whether a file says something else now, and puts that in force. A file that is wrong is one that is being
    /// written: what was read before stays in force.
    pub fn reload_credentials(&self) -> Result<Renewed> {
        let security = self.lock().security.clone();
        let contents = Contents::read(&security)?;
        let mut state = self.lock();
        if state.security != security || state.contents == contents {
            return Ok(Renewed::Nothing);
        }
        let fresh = Credentials::new(&security, &contents, &self.headers)?;
        let renewed =
            if contents.same_tls(&security, &state.contents) { Renewed::Headers } else { Renewed::Tls };
        let untested = state.untested || renewed == Renewed::Tls;
        *state = State { security, contents, current: Arc::new(fresh), untested };
        Ok(renewed)
    }

    /// Held for as long as credentials take to be made, which waits for nothing.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a look at the files has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// Nothing else than before.
    Nothing,
    /// Requests have other headers from now on.
    Headers,
    /// New connections are secured in another way, and perhaps requests have other headers.
    Tls,
}

impl Contents {
    fn read(security: &Security) -> Result<Self> {
        security.origins().map(read).collect::<Result<_>>().map(Contents)
    }

    /// Whether connections are secured by the same; the API key, which comes first if there is one, isn't part of that.
    fn same_tls(&self, security: &Security, other: &Contents) -> bool {
        let skipped = usize::from(security.api_key.is_some());
        self.0.get(skipped..) == other.0.get(skipped..)
    }
}

fn read(origin: &Origin) -> Result<Secret> {
    let text = match &origin.place {
        Place::Here(text) => return Ok(text.clone()),
        Place::File(path) => files::read_text(path),
    };
    text.map(Secret::from).map_err(|why| files::unreadable(origin, &why))
}

impl Credentials {
    fn new(security: &Security, contents: &Contents, base: &HeaderMap) -> Result<Self> {
        let mut texts = contents.0.iter();
        let mut next = |origin: &Origin| {
            let text =
                texts.next().ok_or_else(|| Error::new(Status::Internal, format!("{origin} wasn't read")))?;
            Ok::<_, Error>(text.clone())
        };
        let mut headers = base.clone();
        if let Some(origin) = &security.api_key {
            headers.insert(header::AUTHORIZATION, bearer(origin, &next(origin)?)?);
        }
        let tls = match &security.tls {
            None => None,
            Some(tls) => {
                let ca = tls
                    .server_ca_cert
                    .as_ref()
                    .map(|origin| Ok::<_, Error>((origin, next(origin)?)))
                    .transpose()?;
                let client = match &tls.client_cert {
                    None => None,
                    Some((cert, key)) => Some(((cert, next(cert)?), (key, next(key)?))),
                };
                Some(Arc::new(tls::Encryption::new(tls, ca, client)?))
            }
        };
        // Who names a header means it, be it one that we would have made.
        let own = security.headers.map();
        headers.extend(
            own.iter().map(|(name, value): (&HeaderName, &HeaderValue)| (name.clone(), value.clone())),
        );
        Ok(Credentials { headers, tls })
    }
}

fn bearer(origin: &Origin, key: &Secret) -> Result<HeaderValue> {
    let wrong = |why: &str| Error::new(Status::Config, format!("{origin} {why}"));
    let key = key.trim();
    if key.is_empty() {
        return Err(wrong("is empty"));
    }
    if key.contains(char::is_whitespace) {
        return Err(wrong("has white space in it: it must be the API key alone"));
    }
    let value = secret_value(format!("Bearer {key}")).filter(|_| Headers::can_carry(key));
    value.ok_or_else(|| wrong("has a character that a header can't carry"))
}
