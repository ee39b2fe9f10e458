//! Logging in over a real socket, in the new way and the old, and what is left to those who don't.

use std::time::Duration;

use bytes::{BufMut, BytesMut};
use logmill_core::config::{Period, Secret};
use logmill_core::{Shutdown, Stage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::tests::{Client, start};
use super::*;
use crate::config::{AclConfig, ListenerConfig, Mechanism, UserConfig};
use crate::{Config, Service};

fn with_logins() -> Config {
    let listener = ListenerConfig {
        name: "logins".to_owned(),
        listen: "127.0.0.1:0".to_owned(),
        sasl: vec![Mechanism::Plain, Mechanism::ScramSha256],
        ..ListenerConfig::default()
    };
    let password = Some(Secret::new("geheim".to_owned()));
    let user = UserConfig { name: "one".to_owned(), password, password_file: None };
    Config { listeners: vec![listener], users: vec![user], ..Config::default() }
}

async fn begin(client: &mut Client, mechanism: &'static str, version: i16) -> m::SaslHandshakeResponse {
    client.ask(version, &m::SaslHandshakeRequest::default().with_mechanism(mechanism.into())).await
}

async fn say(client: &mut Client, token: &[u8]) -> m::SaslAuthenticateResponse {
    let request = m::SaslAuthenticateRequest::default().with_auth_bytes(Bytes::copy_from_slice(token));
    client.ask(2, &request).await
}

async fn closes(client: &mut Client) -> bool {
    tokio::time::timeout(Duration::from_secs(5), client.is_closed()).await == Ok(true)
}

#[tokio::test]
async fn a_login_opens_the_connection_and_a_wrong_one_closes_it() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), with_logins()).await;
    let mut client = Client::connect(&broker).await;
    client.ask(0, &m::ApiVersionsRequest::default()).await;
    let told = begin(&mut client, "GSSAPI", 1).await;
    assert_eq!(told.error_code, ResponseError::UnsupportedSaslMechanism.code());
    assert_eq!(told.mechanisms, [StrBytes::from("PLAIN"), StrBytes::from("SCRAM-SHA-256")]);
    assert_eq!(begin(&mut client, "PLAIN", 1).await.error_code, 0);
    assert_eq!(say(&mut client, b"\0one\0geheim").await.error_code, 0);
    assert_eq!(client.ask(9, &m::MetadataRequest::default().with_topics(None)).await.brokers.len(), 1);
    // Who is in may log in again, as the same.
    assert_eq!(begin(&mut client, "PLAIN", 1).await.error_code, 0);
    assert_eq!(say(&mut client, b"\0one\0geheim").await.error_code, 0);

    let mut wrong = Client::connect(&broker).await;
    begin(&mut wrong, "PLAIN", 1).await;
    let refused = say(&mut wrong, b"\0one\0falsch").await;
    let mut unknown = Client::connect(&broker).await;
    begin(&mut unknown, "PLAIN", 1).await;
    assert_eq!(say(&mut unknown, b"\0two\0geheim").await, refused, "who is there is not told");
    assert_eq!(refused.error_code, ResponseError::SaslAuthenticationFailed.code());
    assert!(closes(&mut wrong).await && closes(&mut unknown).await);
    broker.stop().await;
}

#[tokio::test]
async fn nothing_else_is_answered_before_and_nothing_large_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), with_logins()).await;
    for served in SERVED {
        use ApiKey::{ApiVersions, SaslAuthenticate, SaslHandshake};
        if matches!(served.api, ApiVersions | SaslHandshake | SaslAuthenticate) {
            continue;
        }
        let mut client = Client::connect(&broker).await;
        let frame = client.frame(served.api as i16, served.max, 2, b"\0\0\0\0");
        client.stream.write_all(&frame).await.unwrap();
        assert!(closes(&mut client).await, "{:?}", served.api);
    }
    let mut large = Client::connect(&broker).await;
    large.stream.write_all(&[0, 1, 0, 1, 0, 36]).await.unwrap();
    assert!(closes(&mut large).await);
    let mut early = Client::connect(&broker).await;
    assert_eq!(say(&mut early, b"\0one\0geheim").await.error_code, ResponseError::IllegalSaslState.code());
    assert!(closes(&mut early).await);
    broker.stop().await;
}

#[tokio::test]
async fn old_clients_log_in_by_bare_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path(), with_logins()).await;
    for (token, expected) in [(&b"\0one\0geheim"[..], true), (b"\0one\0falsch", false), (b"", false)] {
        let mut client = Client::connect(&broker).await;
        assert_eq!(begin(&mut client, "PLAIN", 0).await.error_code, 0);
        let mut frame = BytesMut::new();
        frame.put_i32(i32::try_from(token.len()).unwrap());
        frame.put_slice(token);
        client.stream.write_all(&frame).await.unwrap();
        let answered = tokio::time::timeout(Duration::from_secs(5), client.stream.read_i32()).await.unwrap();
        assert_eq!(answered.ok(), expected.then_some(0));
        if expected {
            client.ask(9, &m::MetadataRequest::default().with_topics(None)).await;
        }
    }
    broker.stop().await;
}

#[tokio::test]
async fn who_says_nothing_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let handshake_timeout = Period::millis(300);
    for config in [Config { handshake_timeout, ..with_logins() }, Config { handshake_timeout, ..Config::default() }] {
        let broker = start(folder.path(), config).await;
        let mut silent = Client::connect(&broker).await;
        let mut slow = Client::connect(&broker).await;
        slow.stream.write_all(&[0, 0]).await.unwrap();
        assert!(closes(&mut silent).await && closes(&mut slow).await);
        broker.stop().await;
    }
    // Who has asked something is in no hurry.
    let broker = start(folder.path(), Config { handshake_timeout, ..Config::default() }).await;
    let mut client = Client::connect(&broker).await;
    client.ask(0, &m::ApiVersionsRequest::default()).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    client.ask(0, &m::ApiVersionsRequest::default()).await;
    broker.stop().await;
}

#[tokio::test]
async fn the_programs_own_stages_come_in_where_others_may_not() {
    let folder = tempfile::tempdir().unwrap();
    let acls = AclConfig { enabled: true, super_users: Vec::new() };
    // A user who is called the same is somebody else.
    let namesake = UserConfig {
        name: "logmill".to_owned(),
        password: Some(Secret::new("geheim".to_owned())),
        password_file: None,
    };
    let config = Config { acls, users: vec![namesake], ..with_logins() };
    let service = Service::build(config, Stage::new("bus", folder.path().to_owned()).unwrap()).await.unwrap();
    let (outside, own) = (service.local_addr(), service.own_access().unwrap());
    let shutdown = Shutdown::new();
    let stop = shutdown.clone();
    let task = tokio::spawn(async move { service.run(stop).await.unwrap() });
    let sasl = own.access.sasl.unwrap();
    let ours = format!("\0{}\0{}", sasl.username, sasl.secret().unwrap().reveal());
    let list = m::DescribeLogDirsRequest::default().with_topics(None);
    for (address, token, may) in [
        (own.address, ours.as_bytes(), Some(0)),
        (own.address, b"\0logmill\0geheim", None),
        (outside, b"\0logmill\0geheim", Some(ResponseError::ClusterAuthorizationFailed.code())),
        (outside, ours.as_bytes(), None),
    ] {
        let mut client = Client { stream: TcpStream::connect(address).await.unwrap(), correlation: 0 };
        begin(&mut client, "PLAIN", 1).await;
        let is_in = say(&mut client, token).await.error_code == 0;
        assert_eq!(is_in, may.is_some());
        if let Some(code) = may {
            assert_eq!(client.ask(4, &list).await.error_code, code);
        }
    }
    shutdown.trigger();
    task.await.unwrap();
}
