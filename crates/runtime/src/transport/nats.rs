//! The process's connection to the NATS server, made when it is first needed (runtime.md 7.1).
//! It must not know what the messages hold.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_nats::client::Request;
use async_nats::connection::State;
use async_nats::{Client, ConnectOptions, Event, HeaderMap, RequestErrorKind, ServerAddr, Subscriber};
use bytes::Bytes;
use tokio::sync::OnceCell;

use crate::causes::with_causes;
use crate::endpoint::{EndpointId, slug};
use crate::settings;

const DEFAULT_SERVER: &str = "nats://localhost:4222";
const DEFAULT_USER: (&str, &str) = ("user", "user");
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
const PING_INTERVAL: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long a failed first connection counts for all who need it.
const NEXT_TRY: Duration = Duration::from_millis(500);
/// Headers of an answer that refuses the request, as NATS services have them.
const ERROR_HEADER: &str = "Nats-Service-Error";
const ERROR_CODE_HEADER: &str = "Nats-Service-Error-Code";

/// The subject of an instance: `<ns>_<component>.<endpoint>-<hex id>`. Characters that subjects do not have are replaced.
pub(super) fn subject(id: &EndpointId, instance_id: u64) -> String {
    let service = slug(&format!("{}_{}", id.namespace, id.component));
    format!("{service}.{}-{instance_id:x}", slug(&id.endpoint))
}

/// What this process shows of itself to the server.
#[derive(Clone, PartialEq, Eq)]
enum Credentials {
    Password(String, String),
    Token(String),
    Nkey(String),
    File(PathBuf),
}

/// Without what is secret.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Password(..) => "user and password",
            Self::Token(_) => "a token",
            Self::Nkey(_) => "an NKey",
            Self::File(_) => "a credentials file",
        })
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct NatsSettings {
    server: String,
    credentials: Credentials,
}

impl NatsSettings {
    pub(super) fn from_environment() -> Self {
        Self::read(settings::text)
    }

    /// The first credentials that are set, else those of the address, else user `user` with password `user`.
    fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let server = variable("NATS_SERVER").unwrap_or_else(|| DEFAULT_SERVER.to_owned());
        let password = variable("NATS_AUTH_USERNAME").zip(variable("NATS_AUTH_PASSWORD"));
        let credentials = password
            .map(|(user, password)| Credentials::Password(user, password))
            .or_else(|| variable("NATS_AUTH_TOKEN").map(Credentials::Token))
            .or_else(|| variable("NATS_AUTH_NKEY").map(Credentials::Nkey))
            .or_else(|| variable("NATS_AUTH_CREDENTIALS_FILE").map(|path| Credentials::File(path.into())))
            .or_else(|| {
                let address: ServerAddr = server.split(',').next()?.trim().parse().ok()?;
                Some(Credentials::Password(address.username()?.to_owned(), address.password()?.to_owned()))
            })
            .unwrap_or_else(|| Credentials::Password(DEFAULT_USER.0.to_owned(), DEFAULT_USER.1.to_owned()));
        Self { server, credentials }
    }

    fn addresses(&self) -> Result<Vec<ServerAddr>, String> {
        let parts = self.server.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts
            .map(|part| {
                part.parse().map_err(|error| {
                    format!(
                        "NATS_SERVER: `{}` is not an address ({error}); write nats://host:port or tls://host:port",
                        shown(part)
                    )
                })
            })
            .collect()
    }

    async fn connect(&self) -> Result<Client, String> {
        let addresses = self.addresses()?;
        let server = shown(&self.server);
        let options = ConnectOptions::new()
            .name("dynamo")
            .connection_timeout(CONNECT_LIMIT)
            .ping_interval(PING_INTERVAL)
            .reconnect_delay_callback(|tries| {
                Duration::from_millis(50).saturating_mul(1 << tries.min(6)).min(LONGEST_PAUSE)
            })
            .event_callback({
                let server = server.clone();
                move |event| {
                    report(&server, &event);
                    std::future::ready(())
                }
            });
        let options = match self.credentials.clone() {
            Credentials::Password(user, password) => options.user_and_password(user, password),
            Credentials::Token(token) => options.token(token),
            Credentials::Nkey(seed) => options.nkey(seed),
            Credentials::File(path) => options.credentials_file(&path).await.map_err(|error| {
                format!("NATS_AUTH_CREDENTIALS_FILE: `{}` cannot be used: {error}", path.display())
            })?,
        };
        options.connect(addresses).await.map_err(|error| {
            let error = with_causes(&error);
            format!("{error}; check NATS_SERVER and the NATS_AUTH_* variables (sent: {:?})", self.credentials)
        })
    }
}

/// Addresses without the credentials they may hold.
fn shown(servers: &str) -> String {
    let bare = |server: &str| match (server.split_once("://"), server.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        (None, Some((_, host))) => host.to_owned(),
        _ => server.to_owned(),
    };
    servers.split(',').map(bare).collect::<Vec<_>>().join(",")
}

fn report(server: &str, event: &Event) {
    match event {
        Event::Connected => tracing::info!("NATS at {server}: connected"),
        Event::Disconnected => tracing::warn!("NATS at {server}: connection lost; connecting again"),
        Event::SlowConsumer(_) => tracing::error!("NATS at {server}: requests were dropped, too many wait"),
        Event::ServerError(error) => tracing::error!("NATS at {server}: {error}"),
        other => tracing::debug!("NATS at {server}: {other:?}"),
    }
}

/// Why a request was not taken.
#[derive(Debug)]
pub(super) enum SendError {
    /// Nobody listens.
    NoSubscriber,
    /// The server is away.
    Down(String),
    TooLarge {
        limit: usize,
    },
    Refused(String),
    NoReply(String),
}

/// A connection that is made once and kept; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Nats {
    settings: Arc<NatsSettings>,
    client: Arc<OnceCell<Client>>,
    failed: Arc<Mutex<Option<(Instant, String)>>>,
}

impl Nats {
    pub(super) fn new(settings: NatsSettings) -> Self {
        Self { settings: Arc::new(settings), client: Arc::default(), failed: Arc::default() }
    }

    /// The server's address, for messages.
    pub(super) fn server(&self) -> String {
        shown(&self.settings.server)
    }

    pub(super) async fn client(&self) -> Result<&Client, String> {
        let connect = async || {
            // Those who waited for a try that failed do not try one after the other.
            let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some((_, reason)) = failed.filter(|(at, _)| at.elapsed() < NEXT_TRY) {
                return Err(reason);
            }
            self.settings.connect().await.inspect_err(|reason| {
                let failure = (Instant::now(), reason.clone());
                *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
            })
        };
        self.client.get_or_try_init(connect).await
    }

    /// Sends a request and waits until it is taken. While the server is away nothing is sent: what waits in a queue
    /// would arrive when nobody wants the answer any more.
    pub(super) async fn send(
        &self,
        subject: &str,
        headers: &BTreeMap<String, String>,
        payload: Bytes,
        limit: Duration,
    ) -> Result<(), SendError> {
        let client = self.client().await.map_err(SendError::Down)?;
        let is_down = || client.connection_state() != State::Connected;
        let lost = || SendError::Down("the connection is lost".to_owned());
        if is_down() {
            return Err(lost());
        }
        let mut request = Request::new().payload(payload).timeout(Some(limit));
        if !headers.is_empty() {
            request = request.headers(header_map(headers));
        }
        let answer = match client.send_request(subject.to_owned(), request).await {
            Ok(answer) => answer,
            Err(error) => {
                return Err(match error.kind() {
                    RequestErrorKind::NoResponders => SendError::NoSubscriber,
                    RequestErrorKind::MaxPayloadExceeded => {
                        SendError::TooLarge { limit: client.max_payload() }
                    }
                    _ if is_down() => lost(),
                    RequestErrorKind::TimedOut => SendError::NoReply("no reply in time".to_owned()),
                    _ => SendError::NoReply(with_causes(&error)),
                });
            }
        };
        match answer.headers.as_ref().and_then(|headers| headers.get(ERROR_HEADER)) {
            Some(error) => Err(SendError::Refused(error.to_string())),
            None => Ok(()),
        }
    }

    /// Listens on a subject; the server knows of it when this returns.
    pub(super) async fn subscribe(&self, subject: &str) -> Result<Subscriber, String> {
        let client = self.client().await?;
        let subscribing = async {
            let messages = client.subscribe(subject.to_owned()).await.map_err(|error| with_causes(&error))?;
            client.flush().await.map_err(|error| with_causes(&error))?;
            Ok(messages)
        };
        let outcome = tokio::time::timeout(CONNECT_LIMIT, subscribing).await;
        outcome.unwrap_or_else(|_| Err("the connection is lost".to_owned()))
    }

    /// Answers a request: it is taken, or the reason why not.
    pub(super) async fn reply(&self, to: async_nats::Subject, refusal: Option<String>) {
        let Ok(client) = self.client().await else { return };
        let sent = match refusal {
            None => client.publish(to, Bytes::new()).await,
            Some(text) => {
                let mut headers = HeaderMap::new();
                // A header has one line.
                headers.insert(ERROR_HEADER, text.replace(['\r', '\n'], " "));
                headers.insert(ERROR_CODE_HEADER, "503");
                client.publish_with_headers(to, headers, text.into()).await
            }
        };
        if let Err(error) = sent {
            tracing::debug!("a reply was not sent: {}", with_causes(&error));
        }
    }
}

fn header_map(headers: &BTreeMap<String, String>) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        match (name.parse::<async_nats::HeaderName>(), value.parse::<async_nats::HeaderValue>()) {
            (Ok(name), Ok(value)) => map.insert(name, value),
            _ => tracing::debug!("header `{name}` cannot be sent over NATS"),
        }
    }
    map
}

/// The headers of a message, each with its first value.
pub(super) fn header_texts(map: Option<&HeaderMap>) -> BTreeMap<String, String> {
    let Some(map) = map else { return BTreeMap::new() };
    let first = |(name, values): (&async_nats::HeaderName, &Vec<async_nats::HeaderValue>)| {
        Some((name.to_string(), values.first()?.to_string()))
    };
    map.iter().filter_map(first).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> NatsSettings {
        NatsSettings::read(|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn subjects_are_those_of_the_contract_and_hold_no_character_with_a_meaning() {
        assert_eq!(subject(&EndpointId::new("ns", "backend", "generate"), 7994), "ns_backend.generate-1f3a");
        assert_eq!(subject(&EndpointId::new("a.b", "c*", "d >"), 1), "a_b_c_.d__-1");
    }

    #[test]
    fn the_first_credentials_that_are_set_are_used() {
        let all = [
            ("NATS_AUTH_CREDENTIALS_FILE", "/f"),
            ("NATS_AUTH_NKEY", "n"),
            ("NATS_AUTH_TOKEN", "t"),
            ("NATS_AUTH_USERNAME", "u"),
            ("NATS_AUTH_PASSWORD", "p"),
        ];
        let password =
            |user: &str, password: &str| Credentials::Password(user.to_owned(), password.to_owned());
        assert_eq!(read(&all).credentials, password("u", "p"));
        assert_eq!(read(&all[..4]).credentials, Credentials::Token("t".to_owned()), "a user alone is none");
        assert_eq!(read(&all[..2]).credentials, Credentials::Nkey("n".to_owned()));
        assert_eq!(read(&all[..1]).credentials, Credentials::File("/f".into()));
        assert_eq!(read(&[("NATS_SERVER", "nats://a:b@h:1")]).credentials, password("a", "b"));
        let none = read(&[]);
        assert_eq!((none.server.as_str(), none.credentials), (DEFAULT_SERVER, password("user", "user")));
    }

    #[test]
    fn secrets_are_in_no_message() {
        let settings = read(&[("NATS_SERVER", "nats://name:hidden@one:1,ftp://name:hidden@two")]);
        let error = settings.addresses().unwrap_err();
        assert!(error.contains("ftp://two") && !error.contains("hidden"), "{error}");
        assert_eq!(shown(&settings.server), "nats://one:1,ftp://two");
        assert!(!format!("{:?}", settings.credentials).contains("hidden"));
    }

    #[test]
    fn headers_survive_the_way() {
        let headers = BTreeMap::from([("traceparent".to_owned(), "00-ab".to_owned())]);
        assert_eq!(header_texts(Some(&header_map(&headers))), headers);
        let bad = BTreeMap::from([("a".to_owned(), "two\r\nlines".to_owned())]);
        assert!(header_texts(Some(&header_map(&bad))).is_empty());
    }
}
