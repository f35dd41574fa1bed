//! The credentials of a connection: reads them from the places that the options name, and again when they change.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::tls::{self, Encryption};
use crate::{
    config::{Headers, Origin, Place, Security, files, secret_value},
    model::{
        error::{Error, Result},
        secret::Secret,
        status::Status,
    },
    runtime::IoThread,
    sys::{self, sync::Mutex},
    telemetry::{
        Telemetry,
        log_record::{Event, Value},
    },
};

/// The credentials of a connection and of its requests.
pub struct Credentials {
    /// The headers of every request.
    pub headers: HeaderMap,
    /// How the connection is encrypted; `None`: not at all.
    pub tls: Option<Arc<Encryption>>,
}

/// The credentials in force.
pub struct CredentialStore {
    /// The headers of every request that don't depend on the credentials.
    headers: HeaderMap,
    state: Mutex<State>,
}

struct State {
    security: Security,
    contents: Contents,
    current: Arc<Credentials>,
    /// Whether no connection has been made yet with the current TLS settings.
    untested: bool,
}

/// Credentials that were read, and that aren't in force yet.
pub struct NewCredentials {
    security: Security,
    contents: Contents,
    fresh: Credentials,
}

/// The contents of the places that the options name, in the order of [`Security::origins`].
#[derive(PartialEq)]
struct Contents(Vec<Secret>);

impl CredentialStore {
    /// Reads the credentials that `security` names. Every request also gets `headers`.
    pub fn open(security: Security, headers: HeaderMap) -> Result<Self> {
        let contents = Contents::read(&security)?;
        let current = Arc::new(Credentials::new(&security, &contents, &headers)?);
        let state = State { security, contents, current, untested: false };
        Ok(CredentialStore { headers, state: Mutex::new(state) })
    }

    /// Returns the credentials in force.
    pub fn current(&self) -> Arc<Credentials> {
        self.state.lock().current.clone()
    }

    /// Notes that a connection was made with these credentials.
    pub fn tested(&self, credentials: &Arc<Credentials>) {
        let mut state = self.state.lock();
        if Arc::ptr_eq(credentials, &state.current) {
            state.untested = false;
        }
    }

    /// Reads other credentials. Fails if they are invalid.
    pub fn read(&self, security: Security) -> Result<NewCredentials> {
        let contents = Contents::read(&security)?;
        let fresh = Credentials::new(&security, &contents, &self.headers)?;
        Ok(NewCredentials { security, contents, fresh })
    }

    /// Puts other credentials in force. Returns whether their TLS settings differ from those of the last connection.
    pub fn change(&self, new: NewCredentials) -> bool {
        let NewCredentials { security, contents, fresh } = new;
        let mut state = self.state.lock();
        // Also if the same settings are given again: the server may accept now what it rejected before.
        let untested = state.untested
            || security.tls != state.security.tls
            || !contents.same_tls(&security, &state.contents);
        *state = State { security, contents, current: Arc::new(fresh), untested };
        untested
    }

    /// Rereads the files, and puts changed contents in force. On an error the previous contents stay in force,
    /// because the file may just be being written.
    pub async fn reload(self: &Arc<Self>, io_thread: &IoThread) -> Result<Renewed> {
        if !self.state.lock().security.origins().any(Origin::is_file) {
            return Ok(Renewed::Nothing);
        }
        let store = self.clone();
        // A disk may be slow, so another thread reads. A thread inherits attributes of its creator, which must not be
        // a caller.
        let reread = sys::blocking::run(move || store.reread());
        let reread = io_thread.run(reread).await;
        reread.unwrap_or_else(|why| Err(files::unreadable(&"a file with credentials", &why)))
    }

    fn reread(&self) -> Result<Renewed> {
        let security = self.state.lock().security.clone();
        let contents = Contents::read(&security)?;
        if self.state.lock().contents == contents {
            return Ok(Renewed::Nothing);
        }
        let fresh = Credentials::new(&security, &contents, &self.headers)?;
        let mut state = self.state.lock();
        if state.security != security {
            return Ok(Renewed::Nothing);
        }
        let renewed =
            if contents.same_tls(&security, &state.contents) { Renewed::Headers } else { Renewed::Tls };
        let untested = state.untested || renewed == Renewed::Tls;
        *state = State { security, contents, current: Arc::new(fresh), untested };
        Ok(renewed)
    }
}

/// The result of rereading the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// Nothing has changed.
    Nothing,
    /// The request headers have changed.
    Headers,
    /// The TLS settings have changed, and perhaps the request headers.
    Tls,
}

/// Writes to the log if credentials have changed, or can't be read.
pub fn log_renewal(reloaded: &Result<Renewed>, telemetry: &Telemetry, peer: &str) {
    let peer = &[("peer", Value::Text(peer))];
    match reloaded {
        Ok(Renewed::Nothing) => {}
        Ok(Renewed::Headers | Renewed::Tls) => telemetry.log.write(Event::CredentialsRenewed, peer, || {
            "the files with credentials have changed and were reread".to_owned()
        }),
        // The files are read again later.
        Err(error) => telemetry.log.write(Event::RenewalFailed, peer, || error.to_string()),
    }
}

impl Contents {
    fn read(security: &Security) -> Result<Self> {
        security.origins().map(read).collect::<Result<_>>().map(Contents)
    }

    /// Returns whether the TLS settings are the same. Ignores the API key, which comes first if there is one.
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
        // A header of the options overrides one that the library would set.
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
