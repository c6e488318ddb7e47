//! Traces are read strictly, and read back as they were written.

use super::*;
use crate::rebalance::{Kind, Trace};

const HEADER: &str = r#"{"trace":1,"interval_seconds":5,"start_ms":0,"capacities":[8,8],"topology":TOPOLOGY}"#;

/// Two shards, users by hash.
fn header() -> String {
    let trace = Synthetic {
        shards: Some(2),
        minutes: Some(1),
        ..Synthetic::new(Kind::Noise, 1)
    };
    let topology = trace.trace().unwrap().topology.to_json().unwrap();
    HEADER.replace("TOPOLOGY", &topology)
}

fn fault(lines: &[&str]) -> String {
    let text: Vec<String> = lines.iter().map(|line| line.replace("HEADER", &header())).collect();
    Trace::parse(&text.join("\n")).unwrap_err().to_string()
}

#[test]
fn a_trace_reads_back_as_it_was_written() {
    for kind in [Kind::Market, Kind::SkewedRanges, Kind::Zipf] {
        let trace = Synthetic {
            minutes: Some(2),
            ..Synthetic::new(kind, 3)
        };
        let trace = trace.trace().unwrap();
        let text = trace.to_text();
        let again = Trace::parse(&text).unwrap();
        assert_eq!(again.to_text(), text);
        assert_eq!(
            (&again.topology, &again.units, again.ticks.len()),
            (&trace.topology, &trace.units, 24)
        );
        for (again, tick) in again.ticks.iter().zip(&trace.ticks) {
            assert!(
                (again.total() - tick.total()).abs() < 0.05,
                "{} {}",
                again.total(),
                tick.total()
            );
        }
    }
}

#[test]
fn a_unit_appears_before_the_tick_that_uses_it() {
    let text = [
        &header(),
        r#"{"unit":0,"keyspace":"user","key":"7","bytes":10}"#,
        r#"{"tick":0,"busy":[[0,0.5,0.25]],"unattributed":[0,0]}"#,
        r#"{"unit":1,"keyspace":"user","key":"8","bytes":20}"#,
        "",
        r#"{"tick":1,"busy":[[0,0.5,0.25],[1,1,0]],"unattributed":[0,0.5]}"#,
    ]
    .join("\n");
    let trace = Trace::parse(&text).unwrap();
    assert_eq!(trace.units.iter().map(|unit| unit.since).collect::<Vec<_>>(), [0, 1]);
    assert!((trace.ticks[1].total() - 2.25).abs() < 1e-9);
    assert!((trace.scaled(10.0).ticks[1].total() - 22.5).abs() < 1e-9);
    assert_eq!(trace.scaled(10.0).units[1].bytes, 200);
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let unit = r#"{"unit":0,"keyspace":"user","key":"7","bytes":10}"#;
    let tick = r#"{"tick":0,"busy":[],"unattributed":[0,0]}"#;
    for (lines, expected) in [
        (&[][..], "line 1: the trace is empty"),
        (
            &["", "{\"trace\":2}"],
            "line 2: version 2 of the format; this program reads 1",
        ),
        (&[tick], "line 1: the first line must be a header"),
        (&["HEADER", "HEADER", tick], "line 2: a second header"),
        (&["HEADER"], "line 1: there is no tick"),
        (&["HEADER", unit, "{\"unit\":0"], "line 3: expected an object with"),
        (&["HEADER", unit, unit], "line 3: unit 0, expected 1"),
        (&["HEADER", "{\"surprise\":0}"], "line 2: expected an object with"),
        (
            &["HEADER", r#"{"unit":0,"keyspace":"users","key":"7","bytes":1}"#],
            "line 2: keyspace \"users\" isn't in the topology",
        ),
        (
            &["HEADER", r#"{"unit":0,"keyspace":"user","key":"x","bytes":1}"#],
            "line 2: key \"x\" can't be read as",
        ),
        (
            &["HEADER", r#"{"unit":0,"keyspace":"user","key":"7","bytes":1,"size":2}"#],
            "line 2: expected an object with \"trace\", \"unit\" or \"tick\"; unknown field `size`",
        ),
        (
            &["HEADER", r#"{"tick":0,"busy":[[0,1,1]],"unattributed":[0,0]}"#],
            "line 2: unit 0 isn't declared before this tick",
        ),
        (
            &[
                "HEADER",
                unit,
                r#"{"tick":0,"busy":[[0,1,1],[0,1,1]],"unattributed":[0,0]}"#,
            ],
            "line 3: unit 0 stands after one that isn't lower",
        ),
        (
            &["HEADER", unit, r#"{"tick":0,"busy":[[0,-1,1]],"unattributed":[0,0]}"#],
            "line 3: a rate of busy is -1; it must be a number from 0 to 100000",
        ),
        (
            &["HEADER", r#"{"tick":0,"busy":[],"unattributed":[0]}"#],
            "line 2: unattributed lists 1 numbers for 2 shards",
        ),
        (
            &["HEADER", r#"{"tick":1,"busy":[],"unattributed":[0,0]}"#],
            "line 2: tick 1, expected 0",
        ),
        (
            &[r#"{"trace":1,"synthetic":{"kind":"zipf","seed":1,"minutes":0}}"#],
            "line 1: minutes is 0; it must be from 1 to 16666",
        ),
        (
            &[r#"{"trace":1,"synthetic":{"kind":"zip","seed":1}}"#],
            "line 1: expected an object with \"trace\", \"unit\" or \"tick\"; unknown variant `zip`",
        ),
        (
            &[r#"{"trace":1,"synthetic":{"kind":"zipf","seed":1,"minutes":1}}"#, tick],
            "line 2: a synthetic trace is its header alone",
        ),
    ] {
        let found = fault(lines);
        assert!(found.starts_with(expected), "{found}\n  instead of {expected}");
    }
}

#[test]
fn a_header_is_checked_before_its_lines() {
    let header = header();
    for (from, to, expected) in [
        ("[8,8]", "[8]", "line 1: capacities lists 1 numbers for 2 shards"),
        ("[8,8]", "[8,0]", "line 1: a capacity is 0; it must be a number above 0"),
        (
            ":5,",
            ":0,",
            "line 1: interval_seconds is 0; it must be a number from 0.1 to 60",
        ),
        ("\"home\":0", "\"home\":9", "line 1: the topology can't be read"),
        (
            "\"start_ms\":0",
            "\"start_ms\":0,\"silent\":[{\"keyspace\":\"user\",\"bucket\":256,\"bytes\":1}]",
            "line 1: keyspace \"user\" has no bucket 256",
        ),
    ] {
        assert!(header.contains(from), "{from}");
        let found = Trace::parse(&header.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(found.starts_with(expected), "{found}\n  instead of {expected}");
    }
}
