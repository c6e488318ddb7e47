//! Connecting and logging in.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Buf;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::cancel::Ledger;
use super::connection::{Backend, Identity, Reuse};
use super::endpoint::Endpoint;
use super::error::Error;
use super::link::Link;
use super::login::{Login, Secret};
use super::prepared::Prepared;

use crate::clock::{Clock, Rng};
use crate::telemetry::Metering;
use crate::topology::ShardId;
use crate::wire::{
    AnswerTag, Authentication, BackendKeyData, ErrorFields, FrameError, ParameterStatus, SCRAM_SHA_256, ScramClient,
    ScramClientProof, ScramError, ScramSecret, md5_response, next_frame, put_password, put_sasl_initial,
    put_sasl_response, put_startup,
};

/// The longest message taken from a server during login.
const LOGIN_FRAME_LIMIT: usize = 1024 * 1024;

/// The most messages a login may take: reported settings and notices included.
const LOGIN_MESSAGES_MAX: usize = 10_000;

const NONCE_BYTES: usize = 18;

/// How to reach one shard.
#[derive(Clone, Debug)]
pub struct Connector {
    /// which shard
    pub shard: ShardId,
    /// where it is
    pub endpoint: Arc<Endpoint>,
    /// most time for connect and login together
    pub timeout: Duration,
    /// prepared statements kept per backend
    pub prepared: usize,
    /// tells the connection's age
    pub clock: Clock,
    /// whether it is told how long backends are occupied
    pub metering: Metering,
    /// for SCRAM's nonces
    pub rng: Rng,
}

/// A new backend outside any pool. Errors of the server are kept whole.
pub async fn connect(connector: &Connector, login: &Arc<Login>) -> Result<Backend, Error> {
    let address = connector.endpoint.address();
    match timeout(connector.timeout, Box::pin(log_in(connector, login, &address))).await {
        Ok(done) => done,
        Err(_elapsed) => Err(Error::ConnectTimeout {
            address,
            timeout: connector.timeout,
        }),
    }
}

async fn log_in(connector: &Connector, login: &Arc<Login>, address: &Arc<str>) -> Result<Backend, Error> {
    let endpoint = &connector.endpoint;
    let refused = |source| Error::Connect {
        address: address.clone(),
        source: Arc::new(source),
    };
    let stream = TcpStream::connect((&*endpoint.host, endpoint.port))
        .await
        .map_err(refused)?;
    let link = Link::new(stream).map_err(refused)?;
    let mut dialogue = Dialogue {
        link,
        login,
        address,
        rng: connector.rng,
        scram: Scram::None,
    };
    dialogue.send_startup(&endpoint.database);
    let mut parameters = Vec::new();
    let mut process_id = 0;
    let mut key: Arc<[u8]> = Arc::from([]);
    let mut greeted = false;
    for _ in 0..LOGIN_MESSAGES_MAX {
        if greeted && dialogue.link.in_buffer.is_empty() {
            break;
        }
        dialogue.wait_frame().await?;
        let Some(frame) = next_frame(&dialogue.link.in_buffer, LOGIN_FRAME_LIMIT).map_err(|e| protocol(address, e))?
        else {
            return Err(Error::Bug("a whole frame vanished"));
        };
        let (whole, body) = (frame.whole.len(), frame.body);
        match AnswerTag::of(frame.tag) {
            Some(AnswerTag::Authentication) => {
                let body = body.to_vec();
                dialogue.answer(&body)?;
            }
            Some(AnswerTag::ErrorResponse) => {
                let fields = ErrorFields::parse(body).map_err(|e| protocol(address, e))?;
                return Err(Error::Refused {
                    fields: Arc::new(fields),
                });
            }
            Some(AnswerTag::ParameterStatus) => {
                let status = ParameterStatus::parse(body).map_err(|e| protocol(address, e))?;
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let (name, value) = (text(status.name), text(status.value));
                match parameters.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, known)) => *known = value,
                    None => parameters.push((name, value)),
                }
            }
            Some(AnswerTag::BackendKeyData) => {
                let data = BackendKeyData::parse(body).map_err(|e| protocol(address, e))?;
                process_id = data.process_id;
                key = Arc::from(data.key);
            }
            Some(AnswerTag::NoticeResponse) => (),
            // More may lie right behind it: that the server ends, above all, as when its postmaster dies.
            Some(AnswerTag::ReadyForQuery) if !greeted => {
                dialogue.finish()?;
                greeted = true;
            }
            _ => {
                return Err(Error::Unexpected {
                    address: address.clone(),
                    tag: frame.tag,
                });
            }
        }
        dialogue.link.in_buffer.advance(whole);
    }
    if !greeted || !dialogue.link.in_buffer.is_empty() {
        return Err(protocol(address, FrameError::Format));
    }
    let mut link = dialogue.link;
    link.release_buffers();
    match connector.metering {
        Metering::On => link.measure(connector.clock),
        Metering::Off => {}
    }
    Ok(Backend {
        link: Box::new(link),
        prepared: Box::new(Prepared::new(connector.prepared)),
        applied: None,
        shard: connector.shard,
        reuse: Reuse::Replay,
        process_id,
        login: login.clone(),
        identity: Arc::new(Identity {
            endpoint: endpoint.clone(),
            key,
            parameters: parameters.into(),
            ledger: Arc::new(Ledger::default()),
        }),
        digest: 0,
        since: connector.clock.now(),
        slot: None,
    })
}

fn protocol(address: &Arc<str>, source: FrameError) -> Error {
    Error::Protocol {
        address: address.clone(),
        source,
    }
}

/// Where a SCRAM exchange stands.
enum Scram {
    /// the server hasn't asked for one
    None,
    Begun(ScramClient),
    Proved(ScramClientProof),
    /// the server has proven itself too
    Done,
}

struct Dialogue<'a> {
    link: Link,
    login: &'a Login,
    address: &'a Arc<str>,
    rng: Rng,
    scram: Scram,
}

impl Dialogue<'_> {
    fn send_startup(&mut self, database: &str) {
        let mut parameters = vec![("user", &*self.login.user), ("database", database)];
        parameters.extend(
            self.login
                .startup
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        put_startup(&mut self.link.out_buffer, &parameters);
    }

    /// Writes what is queued and waits until a whole frame is buffered.
    async fn wait_frame(&mut self) -> Result<(), Error> {
        let io = |source| Error::Io {
            address: self.address.clone(),
            source: Arc::new(source),
        };
        self.link.drain().await.map_err(io)?;
        loop {
            let frame = next_frame(&self.link.in_buffer, LOGIN_FRAME_LIMIT);
            if frame.map_err(|e| protocol(self.address, e))?.is_some() {
                return Ok(());
            }
            if self.link.fill().await.map_err(io)? == 0 {
                return Err(Error::Closed {
                    address: self.address.clone(),
                });
            }
        }
    }

    /// Queues what the server's authentication request asks for.
    fn answer(&mut self, body: &[u8]) -> Result<(), Error> {
        let request = Authentication::parse(body).map_err(|e| protocol(self.address, e))?;
        match request {
            Authentication::Ok => match self.scram {
                Scram::None | Scram::Done => Ok(()),
                // A server that skips its own proof may not hold the verifier.
                Scram::Begun(_) | Scram::Proved(_) => Err(self.scram_error(ScramError::ServerSignature)),
            },
            Authentication::Cleartext => {
                let password = self.password("a cleartext password")?;
                if !self.link.peer().ip().is_loopback() {
                    return Err(Error::Cleartext {
                        address: self.address.clone(),
                    });
                }
                put_password(&mut self.link.out_buffer, password.as_bytes());
                Ok(())
            }
            Authentication::Md5 { salt } => {
                let password = self.password("an MD5 password")?;
                let response = md5_response(&self.login.user, &password, salt);
                put_password(&mut self.link.out_buffer, response.as_bytes());
                Ok(())
            }
            Authentication::Sasl { .. } => {
                if !request.offers(SCRAM_SHA_256) {
                    return Err(self.scram_error(ScramError::Unsupported("a SASL mechanism other than SCRAM-SHA-256")));
                }
                let nonce: [u8; NONCE_BYTES] = self.rng.bytes().map_err(|e| Error::Entropy(Arc::new(e)))?;
                let (client, first) = ScramClient::begin(self.scram_secret()?, &STANDARD.encode(nonce));
                put_sasl_initial(&mut self.link.out_buffer, SCRAM_SHA_256, &first);
                self.scram = Scram::Begun(client);
                Ok(())
            }
            Authentication::SaslContinue { data } => match std::mem::replace(&mut self.scram, Scram::None) {
                Scram::Begun(client) => {
                    let (proof, last) = client.respond(data).map_err(|e| self.scram_error(e))?;
                    put_sasl_response(&mut self.link.out_buffer, &last);
                    self.scram = Scram::Proved(proof);
                    Ok(())
                }
                Scram::None | Scram::Proved(_) | Scram::Done => Err(self.scram_error(OUT_OF_TURN)),
            },
            Authentication::SaslFinal { data } => match std::mem::replace(&mut self.scram, Scram::None) {
                Scram::Proved(proof) => {
                    proof.verify(data).map_err(|e| self.scram_error(e))?;
                    self.scram = Scram::Done;
                    Ok(())
                }
                Scram::None | Scram::Begun(_) | Scram::Done => Err(self.scram_error(OUT_OF_TURN)),
            },
        }
    }

    /// Nothing may be half done when the server says that it is ready.
    fn finish(&self) -> Result<(), Error> {
        match self.scram {
            Scram::None | Scram::Done => Ok(()),
            Scram::Begun(_) | Scram::Proved(_) => Err(self.scram_error(ScramError::ServerSignature)),
        }
    }

    fn password(&self, method: &'static str) -> Result<Arc<str>, Error> {
        match &self.login.secret {
            Secret::Password(password) => Ok(password.clone()),
            Secret::None | Secret::ScramKeys(_) => Err(self.needs_password(method)),
        }
    }

    fn scram_secret(&self) -> Result<ScramSecret, Error> {
        match &self.login.secret {
            Secret::Password(password) => Ok(ScramSecret::Password(password.to_string())),
            Secret::ScramKeys(keys) => Ok(ScramSecret::Keys(keys.clone())),
            Secret::None => Err(self.needs_password("SCRAM-SHA-256")),
        }
    }

    fn needs_password(&self, method: &'static str) -> Error {
        Error::NeedsPassword {
            address: self.address.clone(),
            user: self.login.user.clone(),
            method,
        }
    }

    fn scram_error(&self, source: ScramError) -> Error {
        Error::Scram {
            address: self.address.clone(),
            source,
        }
    }
}

const OUT_OF_TURN: ScramError = ScramError::Malformed("a message out of turn");
