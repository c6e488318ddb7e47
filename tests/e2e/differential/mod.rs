//! The promise, tested: what the proxy answers over 1, 2 and 3 shards, one plain Postgres with all rows answers too.
//!
//! Each `tests/differential/*.slt` is two tests here. `postgres` runs it on two plain servers, which have to agree:
//! so the script is right, and repeatable. `proxy` runs it through the proxy. Nothing expected is written by hand.
//! `UPDATE_REFUSALS=1` writes what is refused today into the scripts; a reviewer reads the diff.

pub mod answer;
mod random;
pub mod rows;
pub mod run;
pub mod script;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::servers::SHARDS_MAX;
use crate::world::{Spec, World};

use run::Findings;
use script::{Extent, Script};

macro_rules! scripts {
    ($($name:ident)*) => {
        const SCRIPTS: &[&str] = &[$(stringify!($name)),*];
        $(mod $name {
            #[test]
            fn postgres() { super::on_postgres(stringify!($name)) }
            #[test]
            fn proxy() { super::through_the_proxy(stringify!($name)) }
        })*
    };
}

scripts! {
    limits order_by distinct aggregates group_by windows joins subqueries set_operations ctes functions_views
    insert insert_split insert_split_keys insert_series sequences update_delete transactions cursors_prepared ddl ddl_everywhere
    reference_writes copy
    key_forms parameters key_types value_types names session_settings errors_results explain
    catalog_psql catalog_psql_completion catalog_clients
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential")
}

fn file(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A world's three files: layout, DDL and the statements that make its rows.
pub struct Source {
    layout: String,
    schema: String,
    data: String,
}

impl Source {
    /// Reads them.
    pub fn read(world: &str) -> Source {
        let part = |suffix: &str| file(&directory().join("worlds").join(format!("{world}.{suffix}")));
        Source {
            layout: part("yaml"),
            schema: part("schema.sql"),
            data: part("data.sql"),
        }
    }

    /// Its rows and tables over so many shards.
    pub fn spec<'a>(&'a self, name: &'a str, shards: usize) -> Spec<'a> {
        Spec {
            name,
            shards,
            layout: &self.layout,
            settings: "",
            schema: &self.schema,
            data: &self.data,
        }
    }
}

fn load(name: &str) -> (PathBuf, String, Script) {
    let path = directory().join(format!("{name}.slt"));
    let text = file(&path);
    let script = script::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    (path, text, script)
}

fn on_postgres(name: &str) {
    let (path, _, mut script) = load(name);
    for record in &mut script.records {
        record.refused.clear();
    }
    let source = Source::read(&script.world);
    let database = format!("d_{name}_pg");
    let world = World::start_direct(source.spec(&database, 1));
    report(&path, &[run::run(&script, &world, 1)]);
}

fn through_the_proxy(name: &str) {
    let (path, text, script) = load(name);
    let source = Source::read(&script.world);
    let mut all = Vec::new();
    for shards in 1..=SHARDS_MAX {
        let database = format!("d_{name}_{shards}");
        let world = World::start(source.spec(&database, shards));
        all.push(run::run(&script, &world, shards));
    }
    if std::env::var_os("UPDATE_REFUSALS").is_some() {
        for reason in all
            .iter()
            .flat_map(|findings| &findings.reasons)
            .collect::<BTreeSet<_>>()
        {
            println!("{name}.slt before the update, {reason}");
        }
        std::fs::write(&path, script::with_refusals(&text, &refusals(&all))).expect("the script can be written");
        all.iter_mut()
            .for_each(|findings| findings.wrong.retain(|text| !text.contains("; the script says ")));
    }
    report(&path, &all);
}

/// By the line of a record's head: at how many shards it was refused. A relay over one shard refuses only what a pooled
/// backend would answer wrongly.
fn refusals(all: &[Findings]) -> BTreeMap<usize, (BTreeSet<usize>, Extent)> {
    let mut found: BTreeMap<usize, (BTreeSet<usize>, Extent)> = BTreeMap::new();
    for (index, findings) in all.iter().enumerate() {
        for (line, extent) in &findings.refused {
            let entry = found.entry(*line).or_insert((BTreeSet::new(), Extent::All));
            entry.0.insert(index + 1);
            if *extent == Extent::Some {
                entry.1 = Extent::Some;
            }
        }
    }
    found
}

fn report(path: &Path, all: &[Findings]) {
    const SHOWN: usize = 40;
    let wrong: Vec<&String> = all.iter().flat_map(|findings| &findings.wrong).collect();
    if !wrong.is_empty() {
        let shown: Vec<String> = wrong
            .iter()
            .take(SHOWN)
            .map(|text| format!("{}: {text}", path.display()))
            .collect();
        panic!(
            "{} disagreements, the first {}:\n\n{}\n",
            wrong.len(),
            shown.len(),
            shown.join("\n\n")
        );
    }
}

#[test]
fn every_script_is_a_test() {
    let mut files = BTreeSet::new();
    for entry in std::fs::read_dir(directory()).expect("the corpus is there") {
        let path = entry.expect("is readable").path();
        if path.extension().is_some_and(|extension| extension == "slt") {
            files.insert(path.file_stem().expect("has a name").to_string_lossy().into_owned());
        }
    }
    let listed: BTreeSet<String> = SCRIPTS.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(
        files, listed,
        "scripts in tests/differential and in the list of tests/e2e/differential/mod.rs"
    );
}

/// So that a world's mistake shows as one, not as a proxy that doesn't start.
#[test]
fn every_world_is_a_config() {
    for name in ["trading", "awkward", "split"] {
        for shards in 1..=SHARDS_MAX {
            let source = Source::read(name);
            let text = crate::world::config_text(&source.spec(name, shards));
            if let Err(error) = shardgate::config::parse("world.yaml", &text, &|_| None) {
                panic!("{name} at {shards} shards: {error}\n{text}");
            }
        }
    }
}
