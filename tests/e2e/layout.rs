//! Where a test's tables lie: the part of the config from `keyspaces:` on, for any number of shards.
//!
//! In it `{{s0}}`, `{{s1}}`, … name shards; with fewer shards the numbers wrap round. `{{all}}` is the list of all.
//! Each table stands in one line, in the order in which rows can be loaded.

/// How a table's rows are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// by a key
    Sharded,
    /// on every shard
    Reference,
    /// on this one
    Unsharded(usize),
}

/// A config's keyspaces and tables for one number of shards.
#[derive(Debug)]
pub struct Layout {
    text: String,
    tables: Vec<(String, Placement)>,
}

impl Layout {
    /// Fills the marks in.
    pub fn new(template: &str, shards: usize) -> Layout {
        const MARKS: usize = 8;
        let all: Vec<String> = (0..shards).map(|shard| format!("s{shard}")).collect();
        let mut text = template.replace("{{all}}", &format!("[{}]", all.join(", ")));
        for mark in 0..MARKS {
            text = text.replace(&format!("{{{{s{mark}}}}}"), &format!("s{}", mark % shards.max(1)));
        }
        let tables = tables(&text);
        Layout { text, tables }
    }

    /// The YAML.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Every table, in order.
    pub fn tables(&self) -> &[(String, Placement)] {
        &self.tables
    }
}

fn tables(text: &str) -> Vec<(String, Placement)> {
    let below = text.lines().skip_while(|line| line.trim_end() != "tables:").skip(1);
    let lines = below.take_while(|line| line.starts_with(' ') || line.is_empty());
    lines
        .filter_map(|line| {
            let (name, rest) = line.trim().split_once(':')?;
            let placement = if rest.contains("reference:") {
                Placement::Reference
            } else if let Some((_, shard)) = rest.split_once("unsharded: s") {
                Placement::Unsharded(shard.trim_end_matches('}').parse().expect("unsharded: s<number>"))
            } else {
                Placement::Sharded
            };
            Some((name.trim_matches('\'').to_owned(), placement))
        })
        .collect()
}

#[test]
fn marks_wrap_round_and_tables_are_found() {
    let text = "keyspaces:\n  k: {a: {{s2}}, b: {{all}}}\ntables:\n  t: {keyspace: k, key: id}\n  r: {reference: true}\n  u: {unsharded: {{s1}}}\n";
    let layout = Layout::new(text, 2);
    assert_eq!(layout.text().lines().nth(1), Some("  k: {a: s0, b: [s0, s1]}"));
    let expected = [
        ("t", Placement::Sharded),
        ("r", Placement::Reference),
        ("u", Placement::Unsharded(1)),
    ];
    assert_eq!(
        layout.tables(),
        expected.map(|(name, placement)| (name.to_owned(), placement))
    );
}
