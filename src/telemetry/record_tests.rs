//! What events do to the text that Prometheus scrapes.

use super::*;

fn telemetry() -> Telemetry {
    let start = Start {
        version: "1.2.3",
        constructs: &["window-across-shards", "sequence-default"],
        clients_max: 100,
    };
    let telemetry = Telemetry::new(start).unwrap();
    telemetry.name_shards(["s0", "s1"]);
    telemetry
}

fn event(kind: StatementKind, shard: Option<usize>, elapsed: Duration) -> StatementEvent {
    StatementEvent {
        kind,
        shard: shard.and_then(ShardId::new),
        outcome: Outcome::Done,
        cache: CacheUse::Hit,
        elapsed,
        queue: Duration::ZERO,
        backend: Some(elapsed / 2),
        rows: 2,
        bytes_to_shard: 10,
        bytes_from_shard: 300,
    }
}

/// The value of a series in the text.
fn value(text: &str, series: &str) -> Option<String> {
    text.lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' ').map(str::to_owned))
}

#[test]
fn series_that_can_be_expected_are_there_at_zero() {
    let text = telemetry().render().unwrap();
    let zero = [
        r#"shardgate_statements_total{plan="one_shard",shard="s1",outcome="done"}"#,
        r#"shardgate_statements_total{plan="merge",shard="*",outcome="failed"}"#,
        r#"shardgate_statement_seconds_count{plan="single",shard="s0"}"#,
        r#"shardgate_refusals_total{construct="window-across-shards"}"#,
        r#"shardgate_errors_total{class="42",origin="proxy"}"#,
        r#"shardgate_shard_up{shard="s1"}"#,
        r#"shardgate_pool_waiters{shard="s0"}"#,
        r#"shardgate_clients{state="active"}"#,
        r#"shardgate_topology_epoch"#,
    ];
    for series in zero {
        assert_eq!(value(&text, series).as_deref(), Some("0"), "{series}");
    }
    assert_eq!(
        value(&text, r#"shardgate_build_info{version="1.2.3"}"#).as_deref(),
        Some("1")
    );
    assert_eq!(value(&text, "shardgate_clients_max").as_deref(), Some("100"));
}

#[test]
fn a_combination_that_cannot_be_is_not_shown() {
    let text = telemetry().render().unwrap();
    for series in [
        r#"shardgate_statements_total{plan="one_shard",shard="*",outcome="done"}"#,
        r#"shardgate_statements_total{plan="merge",shard="s0",outcome="done"}"#,
        r#"shardgate_shard_up{shard="*"}"#,
    ] {
        assert_eq!(value(&text, series), None, "{series}");
    }
}

#[test]
fn a_statement_moves_its_series_and_no_other() {
    let telemetry = telemetry();
    telemetry.statement(&event(StatementKind::OneShard, Some(1), Duration::from_micros(700)));
    telemetry.statement(&event(StatementKind::Merge, None, Duration::from_secs(100)));
    let text = telemetry.render().unwrap();
    let expected = [
        (
            r#"shardgate_statements_total{plan="one_shard",shard="s1",outcome="done"}"#,
            "1",
        ),
        (
            r#"shardgate_statements_total{plan="one_shard",shard="s0",outcome="done"}"#,
            "0",
        ),
        (
            r#"shardgate_statement_seconds_bucket{plan="one_shard",shard="s1",le="0.0005"}"#,
            "0",
        ),
        (
            r#"shardgate_statement_seconds_bucket{plan="one_shard",shard="s1",le="0.001"}"#,
            "1",
        ),
        (
            r#"shardgate_statement_seconds_bucket{plan="one_shard",shard="s1",le="+Inf"}"#,
            "1",
        ),
        (
            r#"shardgate_statement_seconds_bucket{plan="merge",shard="*",le="60"}"#,
            "0",
        ),
        (
            r#"shardgate_statement_seconds_bucket{plan="merge",shard="*",le="+Inf"}"#,
            "1",
        ),
        (r#"shardgate_statement_seconds_sum{plan="merge",shard="*"}"#, "100"),
        (r#"shardgate_statement_rows_total{plan="merge",shard="*"}"#, "2"),
        (
            r#"shardgate_relay_bytes_total{shard="s1",direction="from_shard"}"#,
            "300",
        ),
        (r#"shardgate_relay_bytes_total{shard="*",direction="to_shard"}"#, "10"),
        (r#"shardgate_plan_cache_lookups_total{result="hit"}"#, "2"),
    ];
    for (series, expected) in expected {
        assert_eq!(value(&text, series).as_deref(), Some(expected), "{series}");
    }
}

#[test]
fn an_observation_on_a_bound_belongs_below_it() {
    let telemetry = telemetry();
    telemetry.statement(&event(StatementKind::Home, Some(0), Duration::from_millis(1)));
    let text = telemetry.render().unwrap();
    let at = |le: &str| {
        value(
            &text,
            &format!(r#"shardgate_statement_seconds_bucket{{plan="home",shard="s0",le="{le}"}}"#),
        )
    };
    assert_eq!(at("0.0005").as_deref(), Some("0"));
    assert_eq!(at("0.001").as_deref(), Some("1"));
}

#[test]
fn every_named_bound_is_printed_as_it_reads() {
    let text = telemetry().render().unwrap();
    for le in ["0.0001", "0.00025", "0.0005", "0.0025", "0.1", "2.5", "60"] {
        let series = format!(r#"shardgate_pool_checkout_seconds_bucket{{shard="s0",le="{le}"}}"#);
        assert_eq!(value(&text, &series).as_deref(), Some("0"), "{le}");
    }
}

#[test]
fn refusals_and_errors_fall_into_closed_lists() {
    let telemetry = telemetry();
    telemetry.refusal("sequence-default");
    telemetry.refusal("nobody listed this");
    telemetry.error("57P01", ErrorOrigin::Shard);
    telemetry.error("ZZ123", ErrorOrigin::Proxy);
    let text = telemetry.render().unwrap();
    for series in [
        r#"shardgate_refusals_total{construct="sequence-default"}"#,
        r#"shardgate_refusals_total{construct="other"}"#,
        r#"shardgate_errors_total{class="57",origin="shard"}"#,
        r#"shardgate_errors_total{class="other",origin="proxy"}"#,
    ] {
        assert_eq!(value(&text, series).as_deref(), Some("1"), "{series}");
    }
}

#[test]
fn a_shard_that_is_named_later_appears_with_what_was_counted() {
    let telemetry = telemetry();
    telemetry.statement(&event(StatementKind::OneShard, Some(2), Duration::from_micros(1)));
    let series = r#"shardgate_statements_total{plan="one_shard",shard="s2",outcome="done"}"#;
    assert_eq!(value(&telemetry.render().unwrap(), series), None);
    telemetry.name_shards(["s0", "s1", "s2"]);
    assert_eq!(value(&telemetry.render().unwrap(), series).as_deref(), Some("1"));
}

#[test]
fn gauges_are_what_was_set_last() {
    let telemetry = telemetry();
    let shard = ShardId::new(0).unwrap();
    telemetry.set_pool(
        shard,
        PoolReading {
            max: 20,
            idle: 3,
            busy: 4,
            pinned: 1,
            pinned_max: 5,
            waiters: 9,
        },
    );
    telemetry.set_pool(
        shard,
        PoolReading {
            max: 20,
            idle: 5,
            busy: 2,
            pinned: 0,
            pinned_max: 5,
            waiters: 0,
        },
    );
    telemetry.set_shard_up(shard);
    telemetry.set_uptime(Duration::from_millis(1500));
    let text = telemetry.render().unwrap();
    for (series, expected) in [
        (r#"shardgate_pool_backends{shard="s0",state="idle"}"#, "5"),
        (r#"shardgate_pool_backends{shard="s0",state="busy"}"#, "2"),
        (r#"shardgate_pool_backends_max{shard="s0"}"#, "20"),
        (r#"shardgate_pool_waiters{shard="s0"}"#, "0"),
        (r#"shardgate_shard_up{shard="s0"}"#, "1"),
        ("shardgate_uptime_seconds", "1.5"),
    ] {
        assert_eq!(value(&text, series).as_deref(), Some(expected), "{series}");
    }
}

#[test]
fn sums_name_the_bucket_of_the_median() {
    let telemetry = telemetry();
    for micros in [10, 200, 200, 900_000] {
        telemetry.statement(&event(StatementKind::OneShard, Some(1), Duration::from_micros(micros)));
    }
    let stats = telemetry.statements();
    assert_eq!(stats.len(), 1);
    assert_eq!((stats[0].done, stats[0].rows, stats[0].shard.as_str()), (4, 8, "s1"));
    assert_eq!(stats[0].p50, Some(Duration::from_micros(250)));
    assert_eq!(stats[0].p99, Some(Duration::from_secs(1)));
}

#[test]
fn label_values_are_escaped() {
    let telemetry = telemetry();
    telemetry.name_shards(["a\"b\\c\nd"]);
    let text = telemetry.render().unwrap();
    assert!(text.contains(r#"shardgate_shard_up{shard="a\"b\\c\nd"} 0"#), "{text}");
}
