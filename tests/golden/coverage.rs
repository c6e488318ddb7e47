//! Every refusal has a case, and `docs/unsupported.md` is the registry's own text.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use shardgate::plan::refusal_kinds;

use super::{case, files};

#[test]
fn every_refusal_is_provoked() {
    let mut runner = case::Runner::default();
    for file in files() {
        let text = std::fs::read_to_string(&file).unwrap();
        for case in case::parse(&text) {
            runner.block(&case);
        }
    }
    let provoked: BTreeSet<&str> = runner.refused.iter().map(String::as_str).collect();
    let missing: Vec<&str> = refusal_kinds()
        .iter()
        .map(|kind| kind.id)
        .filter(|id| !provoked.contains(id))
        .collect();
    assert!(missing.is_empty(), "no golden case provokes: {missing:?}");
}

#[test]
fn refusal_ids_are_unique() {
    let ids: Vec<&str> = refusal_kinds().iter().map(|kind| kind.id).collect();
    let distinct: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(distinct.len(), ids.len());
}

#[test]
fn the_document_is_the_registry() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/unsupported.md");
    let fresh = document();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, fresh).unwrap();
        return;
    }
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == fresh,
        "docs/unsupported.md is not the registry's text (UPDATE_GOLDEN=1 rewrites)"
    );
}

fn document() -> String {
    let mut out = String::from(
        "# What is refused, and what to do instead\n\n\
         Generated from `src/plan/refusal.rs` by `UPDATE_GOLDEN=1 cargo test --test golden`.\n\n\
         A topology of one shard takes whatever Postgres takes. With several, a statement gives what one Postgres holding all\n\
         rows would give, or it is refused with SQLSTATE 0A000 (unless another is named), and the message says why. The id\n\
         is the label of the metric of refusals.\n",
    );
    for kind in refusal_kinds() {
        let code = match kind.code {
            "0A000" => String::new(),
            code => format!(" (SQLSTATE {code})"),
        };
        let text = |template: &str| template.replace("{0}", "…").replace("{1}", "…").replace("{2}", "…");
        write!(
            out,
            "\n## {construct}\n\n`{id}`{code}\n\n- Message: {message}\n- Why: {detail}\n- Instead: {hint}\n",
            construct = kind.construct,
            id = kind.id,
            message = text(kind.message),
            detail = text(kind.detail),
            hint = text(kind.hint),
        )
        .unwrap();
    }
    out
}

/// `tests/classes.txt` names a case of every class of wrong answers, and each of those stands where it says.
#[test]
fn every_class_has_a_case() {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests");
    let list = std::fs::read_to_string(tests.join("classes.txt")).unwrap();
    let mut listed: Vec<String> = Vec::new();
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        let (class, rest) = line.split_once(' ').unwrap();
        let (file, case) = rest.trim_start().split_once(' ').unwrap();
        let text = std::fs::read_to_string(tests.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let case = case.trim();
        assert!(
            !case.is_empty() && text.contains(case),
            "class {class}: {file} has no {case:?}"
        );
        listed.push(class.to_string());
    }
    let classes = (1..=101).map(|class: u32| class.to_string());
    let classes = classes.chain(["101b".to_string()]);
    let classes: Vec<String> = classes.chain((102..=136).map(|class: u32| class.to_string())).collect();
    assert_eq!(listed, classes);
}
