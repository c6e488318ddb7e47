//! Layers, digests, replay. `tests/sql_corpus.rs` runs the replay on a server.

use super::*;
use crate::sql::{Command, Lexing, command};

fn run(settings: &SessionSettings, text: &str) -> Result<SessionSettings, SettingError> {
    match command(text.as_bytes(), Lexing::default()).unwrap() {
        Command::Set(set) => settings.with_set(&set),
        Command::Reset(crate::sql::Reset::Name(name)) => Ok(settings.with_reset(&name)),
        Command::Reset(crate::sql::Reset::All) => Ok(settings.reset_all()),
        Command::Discard(_) => Ok(settings.discard_all()),
        other => panic!("{other:?}"),
    }
}

fn after(startup: &[(&str, &str)], texts: &[&str]) -> SessionSettings {
    let startup = startup
        .iter()
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
        .collect();
    let start = SessionSettings::from_startup(&startup).unwrap();
    texts.iter().fold(start, |settings, text| run(&settings, text).unwrap())
}

fn check(startup: &[(&str, &str)], texts: &[&str], expected: &[(&str, &str)]) {
    let settings = after(startup, texts);
    assert_eq!(settings.effective().collect::<Vec<_>>(), expected, "{texts:?}");
}

#[test]
fn layers_hide_and_come_back() {
    let start = [("TimeZone", "UTC")];
    check(&start, &["SET TIME ZONE 'Asia/Tokyo'"], &[("timezone", "Asia/Tokyo")]);
    check(
        &start,
        &["SET TIME ZONE 'Asia/Tokyo'", "RESET timezone"],
        &[("timezone", "UTC")],
    );
    check(
        &start,
        &["SET TIME ZONE 'Asia/Tokyo'", "SET timezone TO DEFAULT"],
        &[("timezone", "UTC")],
    );
    check(&start, &["SET work_mem = '5MB'", "RESET ALL"], &[("timezone", "UTC")]);
    check(
        &[],
        &["SET ROLE a", "SET work_mem = 5000", "RESET ALL"],
        &[("role", "a")],
    );
    check(&[], &["SET ROLE a", "DISCARD ALL"], &[]);
    check(
        &[],
        &["SET ROLE a", "SET SESSION AUTHORIZATION b"],
        &[("session_authorization", "b")],
    );
    check(
        &[],
        &["SET SESSION AUTHORIZATION b", "SET ROLE a"],
        &[("role", "a"), ("session_authorization", "b")],
    );
    check(
        &[],
        &["SET transaction_isolation = 'serializable'", "SET seed = 0.5"],
        &[],
    );
}

#[test]
fn values_are_flat() {
    check(
        &[],
        &["SET search_path TO \"$user\", public, \"A b\", select_x, 'int'"],
        &[("search_path", "\"$user\", public, \"A b\", select_x, \"int\"")],
    );
    check(&[], &["SET DateStyle TO ISO, 'DMY'"], &[("datestyle", "iso, DMY")]);
    check(&[], &["SET extra_float_digits = -03"], &[("extra_float_digits", "-3")]);
    check(
        &[],
        &["SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE"],
        &[("timezone", "INTERVAL '-08:00'")],
    );
    assert_eq!(
        run(&SessionSettings::default(), "SET work_mem = 1, 2"),
        Err(SettingError::OneValueOnly("work_mem".to_owned()))
    );
}

#[test]
fn our_own_are_checked_and_stay_here() {
    let settings = after(
        &[],
        &[
            "SET shardgate.consistency = 'statement'",
            "SET shardgate.key = 'user:42'",
        ],
    );
    assert_eq!(settings.get("shardgate.Consistency"), Some("statement"));
    // Sessions that differ in them are told apart; a backend isn't told.
    assert_ne!(settings, SessionSettings::default());
    assert!(settings.diff(&SessionSettings::default()).is_empty());
    for (text, expected) in [
        (
            "SET shardgate.x = 1",
            "unrecognized configuration parameter \"shardgate.x\"",
        ),
        (
            "SET shardgate.x TO DEFAULT",
            "unrecognized configuration parameter \"shardgate.x\"",
        ),
        (
            "SET shardgate.consistency = 'maybe'",
            "invalid value for parameter \"shardgate.consistency\": \"maybe\"",
        ),
        (
            "SET shardgate.key = '42'",
            "invalid value for parameter \"shardgate.key\": \"42\"",
        ),
        (
            "SET shardgate.replica = 'yes'",
            "invalid value for parameter \"shardgate.replica\": \"yes\"",
        ),
    ] {
        let error = run(&SessionSettings::default(), text).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn replay_is_the_difference() {
    for (held, wanted, expected) in [
        (&[][..], &["SET work_mem = '5MB'"][..], "SET work_mem TO '5MB';"),
        (&["SET work_mem = '5MB'"], &[], "RESET work_mem;"),
        (&["SET work_mem = '5MB'"], &["SET work_mem = '5MB'"], ""),
        (
            &[],
            &["SET search_path TO a, 'B'"],
            "SELECT pg_catalog.set_config('search_path','a, \"B\"',false);",
        ),
        (&[], &["SET app.x = E'it''s \\\\'"], "SET app.x TO E'it''s \\\\';"),
        (&[], &["SET app.x = 1", "RESET app.x"], "SET app.x TO '';"),
        (&["SET app.x = 1"], &["SET app.x = 1", "RESET app.x"], "RESET app.x;"),
        (&["SET ROLE a"], &["SET ROLE a"], ""),
        (
            &["SET ROLE a"],
            &["SET ROLE b"],
            "RESET SESSION AUTHORIZATION;RESET ROLE;SET role TO 'b';",
        ),
        (&["SET ROLE a"], &[], "RESET SESSION AUTHORIZATION;RESET ROLE;"),
        (
            &["SET ROLE a"],
            &["SET ROLE a", "SET work_mem = 1"],
            "RESET SESSION AUTHORIZATION;RESET ROLE;SET work_mem TO '1';SET role TO 'a';",
        ),
        (
            &[],
            &["SET SESSION AUTHORIZATION b", "SET ROLE a", "SET work_mem = 1"],
            "SET work_mem TO '1';SET session_authorization TO 'b';SET role TO 'a';",
        ),
    ] {
        let sql = after(&[], wanted).diff(&after(&[], held));
        assert_eq!(String::from_utf8(sql).unwrap(), expected, "{held:?} → {wanted:?}");
    }
}

#[test]
fn equality_is_by_what_a_backend_holds() {
    let (a, b) = (after(&[("timezone", "UTC")], &[]), after(&[], &["SET TIME ZONE 'UTC'"]));
    assert_eq!((&a, a.digest()), (&b, b.digest()));
    let c = after(&[], &["SET TIME ZONE 'UTC'", "SET app.x = 1", "RESET app.x"]);
    assert_ne!((&a, a.digest()), (&c, c.digest()));
    assert_eq!(c.custom_names().collect::<Vec<_>>(), ["app.x"]);
    assert!(c.can_take_over(&a) && !a.can_take_over(&c));
    let d = after(&[("log_connections", "on")], &[]);
    assert!(!d.can_take_over(&SessionSettings::default()));
    assert_eq!(d.startup_only().collect::<Vec<_>>(), [("log_connections", "on")]);
}
