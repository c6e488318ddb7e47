//! Commands by golden file: text, `----`, what it is.

use std::path::Path;

use super::*;

#[test]
fn golden() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sql/commands.txt");
    let file = std::fs::read_to_string(&path).unwrap();
    let mut out = String::new();
    let mut cases = 0;
    for block in file.split("\n\n").filter(|b| !b.trim().is_empty()) {
        let input = block.split("\n----").next().unwrap().trim_end();
        let text: Vec<&str> = input.lines().filter(|l| !l.starts_with('#')).collect();
        let text = text.join("\n");
        let found = match command(text.as_bytes(), Lexing::default()) {
            Ok(found) => format!("{found:?}"),
            Err(error) => format!("error: {error}"),
        };
        out.push_str(&format!("{input}\n----\n{found}\n\n"));
        cases += 1;
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &out).unwrap();
    }
    assert!(cases > 100, "{cases}");
    assert_eq!(file.trim_end(), out.trim_end());
}

proptest::proptest! {
    #[test]
    fn never_panics(text in "[a-z0-9'\"$ ,.;()=-]{0,60}") {
        let _found = command(text.as_bytes(), Lexing::default());
    }

    #[test]
    fn control_words_with_a_foreign_tail_are_unknown(tail in "(zzz|\\(|,|=|1|'x' 'y')") {
        for head in ["begin", "commit", "rollback", "savepoint a", "release a", "discard all", "deallocate all",
                     "close all", "prepare transaction 'x'", "commit prepared 'x'", "reset all", "show all", "listen a"] {
            let text = format!("{head} {tail}");
            let found = command(text.as_bytes(), Lexing::default()).unwrap();
            proptest::prop_assert!(matches!(found, Command::Unknown(_)), "{}: {:?}", text, found);
        }
    }
}
