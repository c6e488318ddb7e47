//! `shardctl top` as a person meets it: in a terminal, with keys, sizes, and a proxy that goes away.

use crate::database::Database;
use crate::fixture::{Fixture, Scene};
use crate::golden::settle_text;
use crate::terminal::Terminal;

const HEADING: &str = "BUCKET                   BUSY            1m   10s    5m    1h  WAIT STMT/S SIZE";

fn top(database: &Database, arguments: &[&str], size: (u16, u16)) -> Terminal {
    let url = format!("postgres://ann:secret@{}/shardgate", database.address);
    let arguments = [&["--url", &url, "top", "--interval", "0.1"], arguments].concat();
    Terminal::run(env!("CARGO_BIN_EXE_shardctl"), &arguments, size)
}

async fn running() -> Database {
    Database::start(Fixture::new(Scene::Running)).await
}

/// Names of the buckets that are seen.
fn buckets(lines: &[String]) -> Vec<&str> {
    let below = lines.iter().skip_while(|line| !line.starts_with("BUCKET")).skip(1);
    let names = below.map_while(|line| line.split_whitespace().next());
    names.filter(|name| name.contains('/')).collect()
}

fn quits(mut terminal: Terminal) {
    terminal.press("q");
    let (status, written) = terminal.end();
    assert!(status.success(), "{status}");
    assert_eq!(
        written.matches("\x1b[2J").count(),
        written.matches("\x1b[?1049h").count(),
        "frames are painted over each other, never over an emptied screen"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn it_draws_sorts_and_quits() {
    let database = running().await;
    let mut terminal = top(&database, &[], (24, 80));
    let lines = terminal.until("a picture", |lines| lines[0].starts_with("2 proxies"));
    assert!(lines.contains(&HEADING.to_owned()), "{lines:#?}");
    assert!(lines[23].starts_with("q:quit b:busy"), "{lines:#?}");
    let by_busy = ["instrument/fx_major", "user/3", "time/1"];
    assert_eq!(buckets(&lines), by_busy);
    for (key, order, names) in [
        ("n", "name", ["instrument/fx_major", "time/1", "user/3"]),
        ("r", "recent", by_busy),
        ("w", "wait", by_busy),
        ("s", "statements", by_busy),
        ("z", "size", by_busy),
        ("b", "busy", by_busy),
    ] {
        terminal.press(key);
        let told = format!("buckets by {order}");
        let lines = terminal.until(&told, |lines| lines[0].ends_with(&told));
        assert_eq!(buckets(&lines), names, "{order}");
    }
    terminal.press("k");
    let lines = terminal.until("heavy keys", |lines| {
        lines.iter().any(|line| line.starts_with("EURUSD"))
    });
    assert!(!lines.iter().any(|line| line.starts_with("BUCKET")), "{lines:#?}");
    terminal.press("k");
    terminal.until("buckets again", |lines| buckets(lines) == by_busy);
    quits(terminal);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_scrolled_to_under_its_heading() {
    let database = running().await;
    let mut terminal = top(&database, &[], (8, 80));
    let lines = terminal.until("a picture", |lines| lines[7].ends_with("9 below"));
    assert!(
        lines[2].starts_with("SHARD") && lines[3].starts_with("s0"),
        "{lines:#?}"
    );
    // One line down: the empty one has gone.
    terminal.press("\x1b[B");
    let lines = terminal.until("a line further", |lines| lines[7].ends_with("8 below"));
    assert!(
        lines[1].starts_with("SHARD") && lines[2].starts_with("s0"),
        "{lines:#?}"
    );
    terminal.press("\x1b[B\x1b[B");
    let lines = terminal.until("two more", |lines| lines[7].ends_with("6 below"));
    assert!(
        lines[1].starts_with("SHARD") && lines[2].starts_with("s2"),
        "{lines:#?}"
    );
    terminal.press("\x1b[F");
    let lines = terminal.until("the end", |lines| !lines[7].contains("below"));
    assert_eq!(buckets(&lines), ["instrument/fx_major", "user/3", "time/1"]);
    // There is nothing further, and from there a page leads up.
    terminal.press("\x1b[6~\x1b[B\x1b[5~");
    terminal.until("a page up", |lines| lines[7].ends_with("4 below"));
    terminal.press("\x1b[H");
    terminal.until("the beginning", |lines| lines[7].ends_with("9 below"));
    quits(terminal);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_follows_the_terminals_size() {
    let database = running().await;
    let terminal = top(&database, &[], (24, 80));
    terminal.until("all figures", |lines| lines.contains(&HEADING.to_owned()));
    let mut screens = String::new();
    for (rows, columns, figures) in [
        (24, 40, "1m   10s"),
        (24, 60, "1m   10s  WAIT STMT/S SIZE"),
        (12, 120, "BUSY            1m   10s    5m    1h  WAIT ACTIVE SIZE"),
        (24, 80, "BUSY            1m   10s    5m    1h  WAIT STMT/S SIZE"),
    ] {
        terminal.resize(rows, columns);
        let lines = terminal.until("figures that fit", |lines| {
            let mut headings = lines.iter().filter(|line| line.contains(" 1m "));
            headings.any(|line| line.trim_end().ends_with(figures) && line.chars().count() + 1 == usize::from(columns))
        });
        assert!(
            lines.iter().all(|line| line.chars().count() < usize::from(columns)),
            "{lines:#?}"
        );
        screens.push_str(&format!("=== {rows} rows of {columns} columns\n{}\n", lines.join("\n")));
    }
    settle_text("tests/golden/admin/top.txt", &screens);
    for (rows, columns) in [(3, 80), (24, 12)] {
        terminal.resize(rows, columns);
        terminal.until("a word", |lines| {
            lines[0] == "too small" && lines[1..].iter().all(String::is_empty)
        });
    }
    terminal.resize(24, 80);
    terminal.until("all of it again", |lines| lines.contains(&HEADING.to_owned()));
    quits(terminal);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_goes_away_is_said_and_asked_again() {
    let database = running().await;
    let address = database.address;
    let mut terminal = top(&database, &[], (24, 80));
    let before = terminal.until("a picture", |lines| lines[0].starts_with("2 proxies"));
    drop(database);
    let lines = terminal.until("the loss", |lines| lines[0].starts_with("no figures for"));
    assert!(lines[0].chars().count() < 80, "{}", lines[0]);
    assert_eq!(lines[1..], before[1..], "the last figures stay");
    // Keys do what they did.
    terminal.press("n");
    terminal.until("another order", |lines| buckets(lines)[1] == "time/1");
    let _database = Database::start_at(address, Fixture::new(Scene::Running)).await;
    terminal.until("its return", |lines| lines[0].ends_with("buckets by name"));
    quits(terminal);
}

#[tokio::test(flavor = "multi_thread")]
async fn however_it_ends_the_terminal_is_given_back() {
    let database = running().await;
    type End = fn(&mut Terminal);
    let ends: [(&str, End); 4] = [
        ("Ctrl-C", |terminal| terminal.press("\x03")),
        ("SIGTERM", |terminal| terminal.signal("TERM")),
        ("SIGHUP", |terminal| terminal.signal("HUP")),
        ("Ctrl-D", |terminal| terminal.press("\x04")),
    ];
    for (name, end) in ends {
        let mut terminal = top(&database, &[], (24, 80));
        terminal.until_own_screen();
        terminal.until("a picture", |lines| lines[0].starts_with("2 proxies"));
        end(&mut terminal);
        let (status, _) = terminal.end();
        assert!(status.success(), "{name}: {status}");
    }
    // Also when the proxy has gone meanwhile.
    let mut terminal = top(&database, &[], (24, 80));
    terminal.until("a picture", |lines| lines[0].starts_with("2 proxies"));
    drop(database);
    terminal.until("the loss", |lines| lines[0].starts_with("no figures for"));
    terminal.press("\x03");
    assert!(terminal.end().0.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_it_lets_go_of_the_terminal_and_comes_back() {
    let database = running().await;
    let mut terminal = top(&database, &[], (24, 80));
    terminal.until("a picture", |lines| lines[0].starts_with("2 proxies"));
    terminal.press("\x1a");
    terminal.until_stopped();
    terminal.is_given_back();
    terminal.signal("CONT");
    terminal.until_own_screen();
    terminal.until("a picture", |lines| lines[0].starts_with("2 proxies"));
    quits(terminal);
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_frames_are_enough_and_a_refusal_is_a_failure() {
    let database = running().await;
    let (status, written) = top(&database, &["--count", "2"], (24, 80)).end();
    assert!(status.success(), "{status}");
    assert!(written.matches("2 proxies").count() >= 2, "{written:?}");
    drop(database);
    let starting = Database::start(Fixture::new(Scene::Starting)).await;
    let terminal = top(&starting, &[], (24, 80));
    terminal.until("a refusal", |lines| lines[0].starts_with("shardctl: "));
    let (status, written) = terminal.end();
    assert_eq!(status.code(), Some(1));
    assert!(!written.contains("\x1b[?1049h"), "{written:?}");
}

/// Tables on a terminal of the usual size: wrapped, or downwards.
#[tokio::test(flavor = "multi_thread")]
async fn tables_fit_a_terminal() {
    let database = running().await;
    let url = format!("postgres://ann:secret@{}/shardgate", database.address);
    let mut screens = String::new();
    for arguments in [
        &["shards"][..],
        &["buckets", "instrument"],
        &["tables"],
        &["transactions"],
        &["load"],
        &["load", "--keys"],
        &["proposals"],
    ] {
        let terminal = Terminal::run(
            env!("CARGO_BIN_EXE_shardctl"),
            &[&["--url", &url][..], arguments].concat(),
            (60, 80),
        );
        let lines = terminal.ended();
        let used = lines
            .iter()
            .rposition(|line| !line.is_empty())
            .map_or(0, |last| last + 1);
        let told = arguments.join(" ");
        assert!(lines.iter().all(|line| line.chars().count() < 80), "{told}: {lines:#?}");
        screens.push_str(&format!("=== shardctl {told}\n{}\n", lines[..used].join("\n")));
    }
    settle_text("tests/golden/admin/terminal.txt", &screens);
}
