//! Walks the tree with the table of keys: known names, required ones, repeated ones, later ones; collects problems.
//!
//! Holds: a problem never stops the walk; a value that was complained about is absent to the caller, who goes on.

use std::collections::BTreeMap;

use crate::config::keys::{KEYS, Presence};
use crate::config::nearest::{nearest, suggestion};
use crate::config::node::{Class, Entry, Node, Scalar, Value};
use crate::config::{Position, Problem};

/// The walk's state.
pub(super) struct Reader<'a> {
    problems: Vec<Problem>,
    environment: &'a dyn Fn(&str) -> Option<String>,
}

/// The known keys of one mapping that are there.
pub(super) struct Fields<'n> {
    /// where the mapping begins
    pub(super) at: Position,
    /// its path as shown: `keyspaces.user`; empty for the whole file
    pub(super) shown: String,
    present: BTreeMap<&'n str, &'n Entry>,
}

/// One value of a closed list.
pub(super) enum Choice<T> {
    /// in this version
    Here(T),
    /// known; why not
    NotHere(&'static str),
}

impl<'a> Reader<'a> {
    pub(super) fn new(environment: &'a dyn Fn(&str) -> Option<String>) -> Reader<'a> {
        Reader {
            problems: Vec::new(),
            environment,
        }
    }

    /// Notes a problem.
    pub(super) fn wrong(&mut self, at: Position, message: impl Into<String>) {
        self.problems.push(Problem {
            at,
            message: message.into(),
        });
    }

    /// All problems in order of place.
    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort();
        self.problems.dedup();
        self.problems
    }

    /// The mapping at `path` of the table, with its names checked.
    pub(super) fn fields<'n>(&mut self, node: &'n Node, path: &str, shown: &str) -> Fields<'n> {
        let mut fields = Fields {
            at: node.at,
            shown: shown.to_owned(),
            present: BTreeMap::new(),
        };
        let Some(entries) = self.entries(node, shown) else {
            return fields;
        };
        for entry in entries {
            match KEYS
                .iter()
                .find(|key| child(path, key.path) == Some(entry.key.as_str()))
            {
                None => self.unknown(entry, path, shown),
                Some(key) => {
                    if self.is_there(entry, key.presence, shown) {
                        fields.present.insert(&entry.key, entry);
                    }
                }
            }
        }
        for key in KEYS {
            let Some(name) = child(path, key.path) else { continue };
            if key.presence == Presence::Required && !entries.iter().any(|entry| entry.key == name) {
                self.wrong(node.at, format!("{} is missing: {}", join(shown, name), key.kind));
            }
        }
        fields
    }

    /// The entries of a mapping whose keys the operator chooses.
    pub(super) fn entries<'n>(&mut self, node: &'n Node, shown: &str) -> Option<&'n [Entry]> {
        let what = if shown.is_empty() { "the file" } else { shown };
        let Value::Map(entries) = &node.value else {
            self.wrong(
                node.at,
                format!(
                    "{what} must be a mapping (`key: value` lines), not {}",
                    node.described()
                ),
            );
            return None;
        };
        for (index, entry) in entries.iter().enumerate() {
            if let Some(first) = entries.iter().take(index).find(|earlier| earlier.key == entry.key) {
                let message = format!(
                    "{} occurs twice; first in line {}",
                    join(shown, &entry.key),
                    first.at.line
                );
                self.wrong(entry.at, message);
            }
        }
        Some(entries)
    }

    fn unknown(&mut self, entry: &Entry, path: &str, shown: &str) {
        let known: Vec<&str> = KEYS
            .iter()
            .filter_map(|key| child(path, key.path))
            .filter(|name| *name != "*")
            .collect();
        let place = if shown.is_empty() {
            String::new()
        } else {
            format!(" in {shown}")
        };
        let advice = match nearest(&entry.key, known.iter().copied()) {
            Some(known) => format!("; did you mean \"{known}\"?"),
            None => format!("; known are {}", known.join(", ")),
        };
        self.wrong(entry.at, format!("unknown key \"{}\"{place}{advice}", entry.key));
    }

    fn is_there(&mut self, entry: &Entry, presence: Presence, shown: &str) -> bool {
        let shown = join(shown, &entry.key);
        match presence {
            Presence::Required | Presence::Optional if matches!(entry.node.value, Value::Null) => {
                self.wrong(entry.at, format!("{shown} has no value; give one or leave the key out"));
                false
            }
            Presence::Required | Presence::Optional => true,
            Presence::Later(off) => {
                let written = match &entry.node.value {
                    Value::Scalar(scalar) => scalar.text.as_str(),
                    Value::Null | Value::List(_) | Value::Map(_) => "",
                };
                if !off.contains(&written) {
                    let value = match &entry.node.value {
                        Value::Scalar(scalar) => format!("{shown}: {}", scalar.text),
                        Value::Null | Value::List(_) | Value::Map(_) => shown,
                    };
                    let way = match off.first() {
                        Some(off) => format!("leave it out or write {off}"),
                        None => "leave it out".to_owned(),
                    };
                    self.wrong(entry.node.at, format!("{value} is not in this version; {way}"));
                }
                false
            }
        }
    }

    /// A scalar's text; YAML's own types don't matter.
    pub(super) fn scalar<'n>(&mut self, node: &'n Node, shown: &str, wanted: &str) -> Option<&'n Scalar> {
        match &node.value {
            Value::Scalar(scalar) => Some(scalar),
            Value::Null | Value::List(_) | Value::Map(_) => {
                self.wrong(node.at, format!("{shown} must be {wanted}, not {}", node.described()));
                None
            }
        }
    }

    /// A text that isn't empty.
    pub(super) fn text(&mut self, node: &Node, shown: &str) -> Option<String> {
        let scalar = self.scalar(node, shown, "a text")?;
        if scalar.class != Class::Text {
            self.wrong(
                node.at,
                format!(
                    "{shown} must be a text, not {}; quote it: \"{}\"",
                    node.described(),
                    scalar.text
                ),
            );
            return None;
        }
        if scalar.text.is_empty() {
            self.wrong(node.at, format!("{shown} is empty"));
            return None;
        }
        Some(scalar.text.clone())
    }

    /// A list, or one value standing for a list of one.
    pub(super) fn list<'n>(&mut self, node: &'n Node, shown: &str) -> Vec<&'n Node> {
        match &node.value {
            Value::List(items) => {
                if items.is_empty() {
                    self.wrong(node.at, format!("{shown} is an empty list"));
                }
                items.iter().collect()
            }
            Value::Null | Value::Scalar(_) | Value::Map(_) => vec![node],
        }
    }

    /// One of a closed list of words.
    pub(super) fn choice<T>(&mut self, node: &Node, shown: &str, choices: Vec<(&'static str, Choice<T>)>) -> Option<T> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let here = choices.iter().filter(|(_, choice)| matches!(choice, Choice::Here(_)));
        let offered = here.map(|(word, _)| *word).collect::<Vec<_>>().join(" or ");
        let scalar = self.scalar(node, shown, &offered)?;
        match choices.into_iter().find(|(word, _)| *word == scalar.text) {
            Some((_, Choice::Here(value))) => Some(value),
            Some((word, Choice::NotHere(why))) => {
                self.wrong(node.at, format!("{shown}: {word} is not in this version; {why}"));
                None
            }
            None => {
                let near = suggestion(&scalar.text, words);
                self.wrong(
                    node.at,
                    format!("{shown} must be {offered}, not {}{near}", node.described()),
                );
                None
            }
        }
    }

    /// One of the names declared elsewhere in the file.
    pub(super) fn known<'k>(
        &mut self,
        node: &Node,
        shown: &str,
        what: &str,
        names: impl IntoIterator<Item = &'k str> + Clone,
    ) -> Option<String> {
        let name = self.text(node, shown)?;
        if names.clone().into_iter().any(|known| known == name) {
            return Some(name);
        }
        let near = suggestion(&name, names);
        self.wrong(node.at, format!("{shown}: there is no {what} \"{name}\"{near}"));
        None
    }

    /// Replaces `${NAME}` by the environment's value.
    pub(super) fn expanded(&mut self, at: Position, shown: &str, text: &str) -> Option<String> {
        let mut result = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("${") {
            result.push_str(before);
            let Some((name, after)) = behind.split_once('}') else {
                self.wrong(at, format!("{shown}: \"${{\" without its \"}}\""));
                return None;
            };
            let Some(value) = (self.environment)(name) else {
                self.wrong(at, format!("{shown}: the environment has no variable {name}"));
                return None;
            };
            result.push_str(&value);
            rest = after;
        }
        result.push_str(rest);
        Some(result)
    }
}

impl<'n> Fields<'n> {
    /// The value of a key, if it is there and in this version.
    pub(super) fn get(&self, name: &str) -> Option<&'n Node> {
        self.present.get(name).map(|entry| &entry.node)
    }

    /// Where a key stands, or the mapping.
    pub(super) fn place(&self, name: &str) -> Position {
        self.present.get(name).map_or(self.at, |entry| entry.at)
    }

    /// The full path of a key, for messages.
    pub(super) fn path(&self, name: &str) -> String {
        join(&self.shown, name)
    }
}

/// `a.b`, or `b` at the top.
pub(super) fn join(shown: &str, name: &str) -> String {
    if shown.is_empty() {
        name.to_owned()
    } else {
        format!("{shown}.{name}")
    }
}

/// The last part of `path` if it lies directly under `parent`.
fn child<'p>(parent: &str, path: &'p str) -> Option<&'p str> {
    let name = if parent.is_empty() {
        path
    } else {
        path.strip_prefix(parent)?.strip_prefix('.')?
    };
    (!name.contains('.') && !name.contains('[')).then_some(name)
}
