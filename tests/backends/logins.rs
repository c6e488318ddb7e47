//! Logging in, every way that Postgres knows.

use std::sync::Arc;

use crate::server::*;

use bytes::BytesMut;

use shardgate::backend::*;
use shardgate::clock::Rng;
use shardgate::wire::*;

#[tokio::test]
async fn every_login_that_postgres_knows() {
    let server = Server::start();
    let control = server.superuser().await;
    let ours = Verifier::from_password("of ours", &Rng.bytes::<16>().unwrap());
    let sql = format!(
        "create role scram login password 'secret'; create role unicode login password 'pä\u{a0}\u{fb01}\u{2460}';
         create role ours login password '{}';
         set password_encryption = 'md5'; create role hashed login password 'pencil'; create role trusting login",
        ours.to_text()
    );
    control.simple_query(&sql).await.unwrap();
    server.reload_with_hba(
        "host all postgres,trusting 127.0.0.1/32 trust\nhost all hashed 127.0.0.1/32 md5\n\
         host postgres clear 127.0.0.1/32 password\nhost template1 all 127.0.0.1/32 password\n\
         host all all 127.0.0.1/32 scram-sha-256\n",
    );
    eventually("the reload", || async {
        log_in(&server.connector(), &trusted("scram")).await.is_err()
    })
    .await;
    let connector = server.connector();

    // by password, whoever made the verifier
    for (user, password) in [
        ("scram", "secret"),
        ("ours", "of ours"),
        ("unicode", "pä\u{a0}\u{fb01}\u{2460}"),
        ("hashed", "pencil"),
    ] {
        assert_eq!(log_in(&connector, &by_password(user, password)).await.unwrap(), user);
        let error = log_in(&connector, &by_password(user, "wrong")).await.unwrap_err();
        assert_eq!(code(&error), "28P01", "{error}");
    }
    assert_eq!(log_in(&connector, &trusted("trusting")).await.unwrap(), "trusting");
    // cleartext, since the server is on this machine
    let template = server.connector_to("template1");
    assert_eq!(
        log_in(&template, &by_password("scram", "secret")).await.unwrap(),
        "scram"
    );

    // by the keys that the client's own login at the proxy revealed
    let stored = control
        .query_one("select rolpassword from pg_authid where rolname = 'scram'", &[])
        .await
        .unwrap();
    let verifier = Verifier::parse(stored.get(0)).unwrap();
    assert!(verifier.matches("secret"));
    let (client, first) = ScramClient::begin(ScramSecret::Password("secret".into()), "client");
    let (proxy, challenge) = ScramServer::begin(verifier, &first, "proxy").unwrap();
    let (_, last) = client.respond(&challenge).unwrap();
    let keys = proxy.finish(&last).unwrap().keys;
    let through = Arc::new(Login::new("scram", Secret::ScramKeys(keys)));
    assert_eq!(log_in(&connector, &through).await.unwrap(), "scram");
    // a new password makes them worthless
    control
        .simple_query("alter role scram password 'secret'")
        .await
        .unwrap();
    assert_eq!(code(&log_in(&connector, &through).await.unwrap_err()), "28P01");
    // and a cleartext or MD5 request can't be met with them
    assert!(matches!(
        log_in(&template, &through).await,
        Err(Error::NeedsPassword { .. })
    ));
    assert!(matches!(
        log_in(&connector, &trusted("scram")).await,
        Err(Error::NeedsPassword { .. })
    ));

    // what the server says passes as it is
    let error = log_in(&server.connector_to("nowhere"), &trusted("trusting"))
        .await
        .unwrap_err();
    assert_eq!(
        (code(&error), error.to_string().as_str()),
        ("3D000", "database \"nowhere\" does not exist")
    );
    let error = log_in(&connector, &by_password("nobody", "x")).await.unwrap_err();
    assert_eq!(code(&error), "28P01");
}

#[tokio::test]
async fn login_tells_what_the_server_reports() {
    let server = Server::start();
    let startup = [
        ("TimeZone".to_owned(), "Asia/Tokyo".to_owned()),
        ("options".to_owned(), "-c work_mem=5MB".to_owned()),
    ];
    let login = Arc::new(Login::new("postgres", Secret::None).with_startup(startup));
    let mut backend = connect(&server.connector(), &login).await.unwrap();
    let reported: Vec<_> = backend
        .parameters()
        .iter()
        .filter(|(name, _)| name == "TimeZone")
        .cloned()
        .collect();
    assert_eq!(reported, [("TimeZone".to_owned(), "Asia/Tokyo".to_owned())]);
    assert_eq!(ask(&mut backend, "show work_mem").await.unwrap(), ["5MB"]);
    let pid = ask(&mut backend, "select pg_backend_pid()").await.unwrap();
    assert_eq!(pid, [backend.process_id().to_string()]);
    assert_eq!(
        (backend.shard(), backend.user(), backend.digest()),
        (shard(), "postgres", 0)
    );
}

/// Each `options` string: what our splitting makes of it, and what the server does with it.
#[tokio::test]
async fn startup_options_are_split_as_the_server_splits_them() {
    let server = Server::start();
    for options in [
        "-c a.b=1",
        "-ca.b=1",
        "--a.b=1",
        "  -c   a.b=one\\ two  ",
        "-c a.b=back\\\\slash --a.c=x\\=y",
        "--a.b=a=b",
        "--a.b=",
        "-c a.b='quoted'",
        "--a-b.c-d=1",
        "-c",
        "-c a.b",
        "--a.b",
        "a.b=1",
        "-c a.b=1 more",
        "-- -c a.b=1",
        "--",
        "-Z",
        "\t-c\ta.b=1\n",
        "-c a.b=end\\",
        "",
    ] {
        let packet = {
            let mut out = bytes::BytesMut::new();
            put_startup(&mut out, &[("user", "postgres"), ("options", options)]);
            out
        };
        let ours = match next_startup(&packet) {
            Ok(Some((StartupPacket::Startup(startup), _))) => Ok(startup.settings),
            Err(StartupError::Argument { .. } | StartupError::NoValue { .. }) => Err("42601"),
            other => panic!("{other:?}"),
        };
        let startup = [("options".to_owned(), options.to_owned())];
        let login = Arc::new(Login::new("postgres", Secret::None).with_startup(startup));
        match (ours, connect(&server.connector(), &login).await) {
            (Ok(settings), Ok(mut backend)) => {
                for setting in settings {
                    let sql = format!("select current_setting('{}')", setting.name);
                    assert_eq!(ask(&mut backend, &sql).await.unwrap(), [setting.value], "{options:?}");
                }
            }
            (Err(expected), Err(error)) => assert_eq!(code(&error), expected, "{options:?}"),
            (ours, theirs) => panic!("{options:?}: ours {ours:?}, the server's {theirs:?}"),
        }
    }
}

/// A server that says all of this to whoever logs in, in one piece, and hangs up.
async fn says(answer: BytesMut) -> Result<String, Error> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connector = connector_at(listener.local_addr().unwrap().port(), "any");
    let serve = async {
        let mut link = Link::new(listener.accept().await.unwrap().0).unwrap();
        assert_ne!(link.fill().await.unwrap(), 0);
        link.out_buffer = answer;
        link.drain().await.unwrap();
    };
    let login = trusted("anyone");
    let (connected, ()) = tokio::join!(connect(&connector, &login), serve);
    let backend = connected?;
    let greeting = backend
        .parameters()
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    Ok(greeting.collect::<Vec<_>>().join(" "))
}

#[tokio::test]
async fn what_comes_right_behind_the_greeting_is_heard() {
    let greeting = |behind: &dyn Fn(&mut BytesMut)| {
        let mut out = BytesMut::new();
        put_authentication_ok(&mut out);
        put_parameter_status(&mut out, b"TimeZone", b"UTC");
        put_backend_key(&mut out, 7, b"key!");
        put_ready(&mut out, TransactionStatus::Idle);
        behind(&mut out);
        out
    };
    // A server whose postmaster dies ends its backends, those that have just said that they are ready too.
    let gone = ErrorFields::new(
        Severity::Fatal,
        SqlState::ADMIN_SHUTDOWN,
        "terminating connection due to unexpected postmaster exit",
    );
    let error = says(greeting(&|out| put_error(out, &gone))).await.unwrap_err();
    assert_eq!(code(&error), "57P01", "{error}");
    let warned = greeting(&|out| {
        put_notice(out, &gone);
        put_parameter_status(out, b"TimeZone", b"Asia/Tokyo");
    });
    assert_eq!(says(warned).await.unwrap(), "TimeZone=Asia/Tokyo");
    // what no server says unasked
    let error = says(greeting(&put_close_complete)).await.unwrap_err();
    assert!(matches!(error, Error::Unexpected { tag: b'3', .. }), "{error}");
}
