//! `docs/metrics.md`, printed from the table.
//!
//! Holds: the file in the tree equals this text; `tests/admin.rs` compares, `UPDATE_GOLDEN=1` rewrites.

use super::table::{BOUNDS_NANOS, Definition, Shape, TOP_BUCKETS, Unit, Values, definitions};

/// The whole text of `docs/metrics.md`.
pub fn metrics_document() -> String {
    let mut text = String::from(OPENING);
    text.push_str("\n| metric | type | unit | labels | meaning |\n|--|--|--|--|--|\n");
    for definition in definitions() {
        text.push_str(&row(definition));
    }
    text.push_str("\n## Labels\n\n| label | values |\n|--|--|\n");
    for (name, values) in labels() {
        text.push_str(&format!("| `{name}` | {values} |\n"));
    }
    let bounds: Vec<String> = BOUNDS_NANOS.iter().map(|nanos| seconds(*nanos)).collect();
    text.push_str(&format!(
        "\n## Histograms\n\nUpper bounds in seconds: {}, +Inf.\n",
        bounds.join(", ")
    ));
    text
}

const OPENING: &str = "\
# Metrics

<!-- Printed from src/telemetry/table.rs by `UPDATE_GOLDEN=1 cargo test --test admin`; don't edit. -->

`http:` in the configuration opens a read-only port: `curl http://127.0.0.1:9432/metrics`. Names end in their unit, times
are seconds, sizes bytes; counters end in `_total` and start at zero with the process. Every label comes from a closed
list, from the refusals that the code knows or from the shards of the topology, so the number of series is bounded.
Gauges are read when they are scraped.
";

fn row(definition: &Definition) -> String {
    let shape = match definition.shape {
        Shape::Counter => "counter",
        Shape::Gauge => "gauge",
        Shape::Histogram => "histogram",
    };
    let unit = match definition.unit {
        Unit::Seconds => "seconds",
        Unit::Bytes => "bytes",
        Unit::Count => "",
        Unit::Ratio => "ratio",
    };
    let labels: Vec<String> = definition
        .labels
        .iter()
        .map(|label| format!("`{}`", label.name))
        .collect();
    format!(
        "| `{}` | {shape} | {unit} | {} | {} |\n",
        definition.name,
        labels.join(" "),
        definition.help
    )
}

/// Each label with its values once; the same name with other values (as `outcome` and `state`) names its metric.
fn labels() -> Vec<(String, String)> {
    let mut listed: Vec<(&str, Values, Vec<&str>)> = Vec::new();
    for definition in definitions() {
        for label in definition.labels {
            match listed
                .iter_mut()
                .find(|(name, values, _)| *name == label.name && *values == label.values)
            {
                Some((_, _, metrics)) => metrics.push(definition.name),
                None => listed.push((label.name, label.values, vec![definition.name])),
            }
        }
    }
    let is_shared = |name: &str| listed.iter().filter(|(other, ..)| *other == name).count() > 1;
    listed
        .iter()
        .map(|(name, values, metrics)| {
            let name = if is_shared(name) {
                format!("{name}` of `{}", metrics.join("`, `"))
            } else {
                (*name).to_owned()
            };
            (name, describe(*values))
        })
        .collect()
}

fn describe(values: Values) -> String {
    match values {
        Values::Closed(list) => list
            .iter()
            .map(|value| format!("`{value}`"))
            .collect::<Vec<_>>()
            .join(" "),
        Values::Shards => "names of the shards; `*` for several or none".to_owned(),
        Values::Constructs => "ids of `docs/unsupported.md`; `other` for one that isn't listed there".to_owned(),
        Values::TopBuckets => {
            format!("keyspace and bucket (`user/17`) of the {TOP_BUCKETS} busiest now; `other` for all others together")
        }
        Values::Version => "this build's version".to_owned(),
    }
}

/// Nanoseconds as seconds without trailing zeros.
fn seconds(nanos: u64) -> String {
    let text = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
