//! A dozen situations, and what is said of them: `tests/golden/proposals/*.txt`, to be read as an operator would.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use shardgate::rebalance::{History, Judgement, Policy, Proposal, columns, propose, table_row};
use shardgate::telemetry::{HourOfWeek, LearntHour, Moment, Week};
use shardgate::topology::Topology;
use shardgate::value::KeyType;

use crate::world::{GIB, NOON, RISING, Shape, World, category, declare, hash, plain, range, shards};

/// A trading platform: majors on s0, exotics on s2, equities on s1 and s3, and users by hash.
fn market() -> World {
    let instrument = category(
        "instrument",
        &[
            ("fx_major", &["s0"], &[]),
            ("fx_exotic", &["s2"], &[]),
            ("equity", &["s1", "s3"], &[]),
        ],
    );
    let mut world = World::new(&declare(plain(4), vec![hash("user", 64), instrument]));
    for (index, symbol) in [
        "EURUSD", "USDJPY", "GBPUSD", "AUDUSD", "USDCHF", "USDCAD", "NZDUSD", "EURGBP",
    ]
    .iter()
    .enumerate()
    {
        world.load("instrument", "fx_major", symbol, 1.1 / (index as f64 + 2.0));
    }
    for number in 0..24 {
        world.load("instrument", "fx_major", &format!("FX{number:02}"), 0.17);
        world.load("instrument", "equity", &format!("EQ{number:02}"), 0.1);
        world.load("instrument", "fx_exotic", &format!("EX{number:02}"), 0.04);
    }
    for user in 0..200 {
        world.load("user", "", &user.to_string(), 0.02);
    }
    world.size("instrument", 12 * GIB).size("user", GIB / 4);
    world.shape = RISING;
    world
}

fn told(judgement: &Judgement) -> String {
    let mut text = String::new();
    for (index, proposal) in judgement.proposals.iter().enumerate() {
        let line = table_row(proposal).join(" | ");
        writeln!(text, "row: {line}\n").unwrap();
        text.push_str(&proposal.to_text(&(index + 1).to_string()));
        text.push('\n');
        // What is stored reads back, and can be made.
        let document = proposal.to_json().unwrap();
        assert_eq!(&Proposal::from_json(&document).unwrap(), proposal);
    }
    for finding in &judgement.findings {
        let about = [
            finding.shard.clone(),
            finding.keyspace.clone(),
            finding.bucket.map(|bucket| bucket.to_string()),
        ];
        let about: Vec<String> = about.into_iter().flatten().collect();
        writeln!(text, "finding about {}", about.join(" ")).unwrap();
        text.push_str(&finding.to_text());
        text.push('\n');
    }
    if text.is_empty() {
        text.push_str("nothing\n");
    }
    for line in text.lines().filter(|line| !line.starts_with("row: ")) {
        assert!(columns(line) <= 80, "wider than a terminal: {line}");
    }
    text
}

fn check(name: &str, comment: &str, judgement: &Judgement, topology: &Topology) {
    for proposal in &judgement.proposals {
        let changes = proposal.changes(topology).unwrap();
        topology.changed(&changes).unwrap();
    }
    let text = format!("# {comment}\n\n{}", told(judgement));
    let path = format!("{}/tests/golden/proposals/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == text, "differs from {path}:\n{text}");
}

fn judged(name: &str, comment: &str, world: &World) -> Judgement {
    let judgement = world.judge(&Policy::default());
    check(name, comment, &judgement, &world.topology);
    judgement
}

#[test]
fn market_open() {
    let judgement = judged(
        "market_open",
        "the majors drive s0 past its threshold; the others have room",
        &market(),
    );
    assert_eq!(judgement.proposals.len(), 1);
    assert!(judgement.proposals[0].reason.starts_with("fx_major"));
    // The document that explains it shows this very one.
    let explained = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/rebalancing.md")).unwrap();
    let shown = judgement.proposals[0].to_text("1");
    assert!(
        explained.contains(shown.trim_end()),
        "docs/rebalancing.md shows another than\n{shown}"
    );
    // The document that the admin database's goldens show.
    let document = format!("{}\n", judgement.proposals[0].to_json().unwrap());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/admin/proposal.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &document).unwrap();
    }
    assert!(
        std::fs::read_to_string(path).unwrap() == document,
        "differs from {path}:\n{document}"
    );
}

#[test]
fn names_as_long_as_they_may_be() {
    let names: Vec<String> = (0..12).map(|n| format!("{}{n:03}", "frankfurt-".repeat(6))).collect();
    let mut first = names.iter().map(String::as_str);
    let long = "k".repeat(63);
    let wide = "株式市場".repeat(5);
    let on = [first.next().unwrap(), first.next().unwrap()];
    let category = category(&long, &[(&wide, &on[..1], &[]), ("größe", &on[1..], &[])]);
    let listed: Vec<(&str, &[(&str, &str)])> = names.iter().map(|name| (name.as_str(), &[][..])).collect();
    let mut world = World::new(&declare(shards(&listed), vec![category]));
    for number in 0..40 {
        world.load(
            &long,
            &wide,
            &format!("{} {number}", "ein sehr langer Schlüssel ".repeat(9)),
            0.2,
        );
        world.load(&long, "größe", &format!("{number}"), 0.03);
    }
    world.size(&long, GIB);
    let judgement = judged("long_names", "twelve shards, and names of 63 bytes", &world);
    assert_eq!(judgement.proposals.len(), 1);
}

#[test]
fn an_empty_shard_was_added() {
    let mut world = market();
    let mut declaration = declare(plain(5), vec![]);
    declaration.shards[4].weight = 1;
    let Ok(shardgate::topology::Evolved::Next(next)) = world.topology.evolve(&declaration) else {
        panic!()
    };
    world.topology = next;
    world.capacity.push(8.0);
    // Without it there would be no room.
    for shard in 1..4 {
        world.unattributed.insert(shard, 1.6);
    }
    judged(
        "an_empty_shard",
        "all old shards are well used; s4 was added and is empty",
        &world,
    );
}

#[test]
fn load_that_lies_evenly_over_many_buckets() {
    let mut world = World::new(&declare(plain(4), vec![hash("user", 256)]));
    let hot = world.topology.shard_by_name("s0").unwrap();
    for user in 0..1_200 {
        world.load("user", "", &user.to_string(), 0.004);
        let key = world.keys.last_mut().unwrap();
        if World::place(&world.topology, key).shard == hot {
            key.busy = 0.028;
        }
    }
    world.size("user", GIB);
    judged(
        "many_buckets",
        "s0's customers are the busy ones, no bucket stands out",
        &world,
    );
}

#[test]
fn one_hot_bucket() {
    let mut world = World::new(&declare(plain(3), vec![hash("user", 16)]));
    for user in 0..400 {
        world.load("user", "", &user.to_string(), 0.02);
        let key = world.keys.last_mut().unwrap();
        if World::place(&world.topology, key).bucket.index() == 3 {
            key.busy = 0.2;
        }
    }
    world.size("user", 40 * GIB);
    judged(
        "one_hot_bucket",
        "one of sixteen buckets carries most of its shard's load",
        &world,
    );
}

#[test]
fn a_range_that_is_read_all_over() {
    let ranges = [("2026-01-01", "s0"), ("2026-04-01", "s1"), ("", "s2")];
    let mut world = World::new(&declare(plain(3), vec![range("day", KeyType::Date, &ranges)]));
    for day in 0..84 {
        let (month, day) = (1 + day / 28, 1 + day % 28);
        world.load("day", "", &format!("2026-{month:02}-{day:02}"), 0.07);
    }
    world.size("day", 300 * GIB / 4);
    world.keys.iter_mut().for_each(|key| key.writes = 0.0);
    judged("a_range", "reports read the whole first quarter", &world);
}

/// The week up to Sunday, as the store has it: utilisation of a shard by hour.
fn week(shard: &str, capacity: f64, used: impl Fn(HourOfWeek) -> Option<f64>) -> Week {
    let mut week = Week::default();
    for hour in (0..168).filter_map(HourOfWeek::new) {
        let Some(used) = used(hour) else { continue };
        let busy = used * capacity * 0.5;
        let document =
            format!(r#"{{"version":1,"week":2930,"weight":0.5,"shards":{{"{shard}":{busy}}},"buckets":{{}}}}"#);
        week.insert(hour, LearntHour::from_json(&document).unwrap());
    }
    week
}

#[test]
fn a_market_that_opens_each_day() {
    let mut world = market();
    // Weekdays from 12 to 14; the clock stands at Monday, 12:00.
    let used = |hour: HourOfWeek| match (hour.index() / 24, hour.index() % 24) {
        (0..5, 12) => Some(0.64),
        (0..5, 13) => Some(0.75),
        (1, 11) => None, // nobody watched
        _ => Some(0.2),
    };
    world.week = Arc::new(week("s0", world.capacity[0], used));
    let judgement = judged(
        "market_opens_daily",
        "the hours of the week tell that it comes back",
        &world,
    );
    let week = judgement.proposals[0].evidence.week.as_ref().unwrap();
    assert_eq!(
        (week.hour.as_str(), week.usual, week.next),
        ("Mon 12–13", 0.64, Some(0.75))
    );
    // 13 to 14 today follows on this hour of overload; the next dip ends with tomorrow's.
    assert_eq!(week.again.as_deref(), Some("Tue 13–14"));
}

#[test]
fn an_hour_that_is_not_known_is_not_told() {
    let mut world = market();
    world.week = Arc::new(week("s0", world.capacity[0], |hour| {
        (hour.index() != 12).then_some(0.2)
    }));
    let judgement = world.judge(&Policy::default());
    assert_eq!(judgement.proposals[0].evidence.week, None);
    // It is stored as an earlier version stores it, and reads so.
    let document = judgement.proposals[0].to_json().unwrap();
    assert!(!document.contains("week"), "{document}");
    assert_eq!(Proposal::from_json(&document).unwrap(), judgement.proposals[0]);
}

#[test]
fn one_shard_alone() {
    let mut world = World::new(&declare(plain(1), vec![hash("account", 16)]));
    world.unattributed.insert(0, 6.6);
    let judgement = judged(
        "one_shard",
        "with one shard statements aren't planned, so no load is a bucket's",
        &world,
    );
    assert_eq!(judgement.proposals, []);
}

/// One shard's load belonged to no bucket; now that there is a second one, empty, statements are planned and windows of
/// buckets fill.
#[test]
fn an_empty_shard_is_used_within_two_minutes_of_its_coming() {
    let categories: Vec<String> = (0..6).map(|number| format!("c{number}")).collect();
    let on_s0: Vec<_> = categories
        .iter()
        .map(|name| (name.as_str(), &["s0"][..], &[][..]))
        .collect();
    let mut empty = World::new(&declare(plain(2), vec![category("kind", &on_s0)]));
    empty.size("kind", GIB);
    let policy = Policy::default();
    let mut history = History::new();
    let proposed = (0_u32..=24).find_map(|tick| {
        let at = Moment(NOON.0 + u64::from(tick) * 5_000);
        let filled = 1.0 - (-f64::from(tick) * 5.0 / 60.0).exp();
        let mut world = empty.clone();
        for (name, number) in categories.iter().zip(0..) {
            for key in 0..40 {
                world.load("kind", name, &format!("{number}-{key}"), 6.6 * filled / 240.0);
            }
        }
        world.unattributed.insert(0, 6.6 * (1.0 - filled));
        history.observe(&world.snapshot(at), &world.topology, &policy);
        let judgement = propose(&world.snapshot(at), &world.topology, &policy, &history, at);
        judgement.proposals.into_iter().next()
    });
    let proposed = proposed.expect("a proposal within two minutes");
    assert_eq!((proposed.from.as_str(), proposed.to), ("s0", vec!["s1".to_owned()]));
}

#[test]
fn an_append_only_tail() {
    let ranges = [("2026-03-01T00:00:00Z", "s0"), ("", "s1")];
    let mut world = World::new(&declare(plain(3), vec![range("time", KeyType::Timestamptz, &ranges)]));
    world.size("time", 80 * GIB);
    let policy = Policy::default();
    let mut history = History::new();
    let mut last = None;
    for tick in 0..=24 {
        let at = Moment(NOON.0 - 120_000 + tick * 5_000);
        // Rows of the last twenty seconds, as of `at`.
        let mut now = world.clone();
        for row in 0..40 {
            let seconds = 43_200 - 120 + tick * 5 - row / 2;
            let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
            let key = format!("2026-03-02T{hour:02}:{minute:02}:{second:02}.{}Z", row % 2);
            now.load("time", "", &key, 0.16);
        }
        history.observe(&now.snapshot(at), &now.topology, &policy);
        last = Some((now, at));
    }
    let (now, at) = last.unwrap();
    let judgement = propose(&now.snapshot(at), &now.topology, &policy, &history, at);
    check(
        "append_only_tail",
        "all is inserted at the end of the last range: what is cut at the median today is cold tomorrow",
        &judgement,
        &now.topology,
    );
    let splits = judgement.proposals.iter().flat_map(|proposal| &proposal.steps);
    assert!(splits.into_iter().all(|step| !step.words.contains("split")));
}

#[test]
fn one_hot_key() {
    let mut world = World::new(&declare(plain(3), vec![hash("account", 16)]));
    for account in 0..300 {
        world.load("account", "", &account.to_string(), 0.005);
    }
    world.load("account", "", "4711", 6.2);
    world.size("account", 2 * GIB);
    judged("one_hot_key", "one account is most of its shard's load", &world);
}

#[test]
fn scans() {
    let mut world = market();
    world.keys.retain(|key| key.category != "fx_major");
    world.unattributed.extend([(0, 5.5), (1, 2.0), (2, 2.0), (3, 2.0)]);
    judged("scans", "s0 is busy with what belongs to no bucket", &world);
}

#[test]
fn a_spike() {
    let mut world = market();
    // A spike of fifteen seconds that ends now: e^-1.5 and e^-0.25 of it are still to come.
    world.shape = Shape([1.1, 0.55, 0.3, 0.2]);
    let judgement = judged("a_spike", "fifteen seconds of four times the usual load", &world);
    assert!(judgement.proposals.is_empty());
}

#[test]
fn labels_keep_eu_in_eu() {
    let regions = |s3: &'static [(&str, &str)]| {
        let eu: &[(&str, &str)] = &[("region", "eu")];
        let us: &[(&str, &str)] = &[("region", "us")];
        let customers = category(
            "customer",
            &[
                ("eu", &["s0"], &[("region", "eu")]),
                ("us", &["s1"], &[("region", "us")]),
            ],
        );
        let mut world = World::new(&declare(
            shards(&[("s0", eu), ("s1", us), ("s2", us), ("s3", s3)]),
            vec![customers],
        ));
        for customer in 0..100 {
            world.load("customer", "eu", &format!("E{customer}"), 0.07);
            world.load("customer", "us", &format!("U{customer}"), 0.01);
        }
        world.size("customer", 30 * GIB);
        world
    };
    judged(
        "labels_bind",
        "customers in the EU may only lie on eu shards, of which there is one",
        &regions(&[("region", "us")]),
    );
    let judgement = judged(
        "labels_leave_room",
        "the same with a second shard in eu, s3",
        &regions(&[("region", "eu")]),
    );
    assert_eq!(judgement.proposals[0].to, ["s3"]);
}

#[test]
fn a_budget_that_is_spent() {
    let mut world = market();
    world.size("instrument", 4_000 * GIB);
    world.keys.retain(|key| key.keyspace == 1);
    judged(
        "over_budget",
        "any part worth moving is larger than an hour's budget",
        &world,
    );
}

#[test]
fn two_hot_shards() {
    let mut world = market();
    for number in 0..24 {
        world.load("instrument", "fx_exotic", &format!("EX{number:02}b"), 0.2);
    }
    let judgement = judged("two_hot_shards", "majors and exotics at once", &world);
    assert_eq!(judgement.proposals.len(), 2);
}

#[test]
fn a_full_cluster() {
    let mut world = market();
    world.unattributed.extend([(1, 5.0), (2, 5.0), (3, 5.0)]);
    judged("a_full_cluster", "no shard has room", &world);
}

#[test]
fn after_a_move_its_keyspace_rests() {
    let world = market();
    let policy = Policy::default();
    let mut history = History::new();
    let mut judgement = Judgement::default();
    for second in (0..=90).rev().step_by(15) {
        let at = Moment(NOON.0 - second * 1_000);
        history.observe(&world.snapshot(at), &world.topology, &policy);
        judgement = propose(&world.snapshot(at), &world.topology, &policy, &history, at);
    }
    let proposal = judgement.proposals[0].clone();
    history.carried_out(&proposal, &world.topology, NOON);
    let at = Moment(NOON.0 + 60_000);
    history.observe(&world.snapshot(at), &world.topology, &policy);
    let judgement = propose(&world.snapshot(at), &world.topology, &policy, &history, at);
    check(
        "cooling",
        "a minute after a move the same load is seen again; without the instruments little can be moved",
        &judgement,
        &world.topology,
    );
}

/// What another proxy has ended in the meantime doesn't come back, as if it had never been away.
#[test]
fn only_what_is_open_stands() {
    let world = market();
    let policy = Policy::default();
    let mut history = History::new();
    let mut judged = |seconds: i64, open: Option<&[Proposal]>| {
        let at = Moment(NOON.0.checked_add_signed(seconds * 1_000).expect("a moment"));
        history.observe(&world.snapshot(at), &world.topology, &policy);
        if let Some(open) = open {
            history.standing_are(open, &world.topology);
        }
        propose(&world.snapshot(at), &world.topology, &policy, &history, at).proposals
    };
    for seconds in (-90..0).step_by(15) {
        judged(seconds, None);
    }
    let first = judged(0, None);
    let renewed = judged(5, Some(&first));
    assert_eq!(renewed[0].created_ms, NOON.0);
    let anew = judged(10, Some(&[]));
    assert_eq!(anew[0].created_ms, NOON.0 + 10_000);
}

#[test]
fn young_and_foreign_measurements() {
    let mut world = market();
    world.measured = Duration::from_secs(20);
    judged("warming", "the proxies have just started", &world);
    let mut snapshot = market().snapshot(NOON);
    snapshot.epoch = snapshot.epoch.next().unwrap();
    let world = market();
    let judgement = propose(&snapshot, &world.topology, &Policy::default(), &History::new(), NOON);
    check(
        "other_epoch",
        "the load was measured under another epoch",
        &judgement,
        &world.topology,
    );
}

#[test]
fn a_balanced_cluster() {
    let mut world = market();
    world.keys.iter_mut().for_each(|key| key.busy *= 0.5);
    judged("balanced", "half the load: nothing is to be done", &world);
}
