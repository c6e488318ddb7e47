//! The registry of refusals: every construct that isn't run across shards, why, and what to do instead.
//!
//! Why one table: `docs/unsupported.md`, the metric's labels and the answers to clients come from it, so they can't
//! disagree. `tests/golden.rs` proves that each id has a case that provokes it.
//! Holds: ids are unique and never change their meaning; `{0}`, `{1}` … in a text are the user's own names.

/// A typed no: construct, reason, hint, each a text that a client may read. SQLSTATE 0A000 unless `code` says otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// stable id, a key of `docs/unsupported.md` and label of the refusals metric, such as `window-across-shards`
    pub id: &'static str,
    /// SQLSTATE
    pub code: &'static str,
    /// MESSAGE: what, with the user's own names
    pub message: String,
    /// DETAIL: why we know
    pub detail: String,
    /// HINT: what to do
    pub hint: String,
}

/// One entry of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusalKind {
    /// stable id
    pub id: &'static str,
    /// SQLSTATE
    pub code: &'static str,
    /// what is refused, for the documentation
    pub construct: &'static str,
    /// template of MESSAGE
    pub message: &'static str,
    /// template of DETAIL
    pub detail: &'static str,
    /// template of HINT
    pub hint: &'static str,
}

/// Makes the registry: an enum of ids and one table, in the order of the documentation.
macro_rules! registry {
    ($($name:ident { $id:literal $code:literal, $construct:literal, $message:literal, $detail:literal, $hint:literal $(,)? })*) => {
        /// Id of a refusal.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(in crate::plan) enum RefusalId { $(
            #[doc = $construct]
            $name,
        )* }

        impl RefusalId {
            fn kind(self) -> RefusalKind {
                match self { $(RefusalId::$name => RefusalKind {
                    id: $id, code: $code, construct: $construct, message: $message, detail: $detail, hint: $hint,
                },)* }
            }

            const ALL: &'static [RefusalId] = &[$(RefusalId::$name,)*];
        }
    };
}

registry! {
    SyntaxNotUnderstood { "syntax-not-understood" "0A000",
        "Syntax that the planner doesn't know",
        "{0} is not understood across shards",
        "The planner proves a statement exact before it runs on more than one shard, and can't look into this one.",
        "Rewrite it in plainer SQL." }
    UnparsedNamesTable { "unparsed-statement" "0A000",
        "A statement that the parser doesn't know and that names a user's table, view or function",
        "statement is not understood, and it names \"{0}\"",
        "{1}.",
        "Rewrite it in plainer SQL, or route it by hand with SET shardgate.shard." }
    TableNotListed { "table-not-listed" "0A000",
        "A table that exists but isn't listed in the config, without a default_shard",
        "table \"{0}\" is not listed in the config",
        "It exists on a shard, but the config's tables: doesn't say where its rows live, and there is no default_shard.",
        "List {0} under tables: (with keyspace and key, reference: true, or unsharded: <shard>), or set default_shard." }
    RelationKindNotPlaced { "relation-kind-not-placed" "0A000",
        "A materialized view or foreign table that isn't listed in the config",
        "{1} \"{0}\" is not listed in the config",
        "Only ordinary tables live on default_shard without being listed.",
        "List {0} under tables: with unsharded: <shard>." }
    KeyColumnMissing { "key-column-missing" "0A000",
        "A sharded table whose key column is gone",
        "table \"{0}\" has no column \"{1}\", which the config names as its key",
        "Without it the owner of a row can't be told.",
        "Change the key in the config and reload, or add the column back." }
    ViewNotUnderstood { "view-not-understood" "0A000",
        "A view whose definition the planner can't look into",
        "view \"{0}\" can't be looked through",
        "The tables that it reads decide where it runs, and its definition isn't understood.",
        "Write its query in the statement." }
    ViewWritten { "view-written" "0A000",
        "INSERT, UPDATE or DELETE through a view",
        "view \"{0}\" is the target of a write",
        "Which shard owns the row that a view's write reaches isn't worked out.",
        "Write to its base table." }
    FanOutNotYet { "fan-out" "0A000",
        "A read over several shards that no rule proves exact",
        "statement reads several shards",
        "No rule proves that the answers of several shards can be merged exactly.",
        "Filter by one value of the sharding key." }
}

/// All entries, in the order of the documentation.
pub fn refusal_kinds() -> Vec<RefusalKind> {
    RefusalId::ALL.iter().map(|id| id.kind()).collect()
}

/// The refusal `id` with its texts filled in.
pub(in crate::plan) fn refuse(id: RefusalId, names: &[&str]) -> Box<Refusal> {
    let kind = id.kind();
    Box::new(Refusal {
        id: kind.id,
        code: kind.code,
        message: fill(kind.message, names),
        detail: fill(kind.detail, names),
        hint: fill(kind.hint, names),
    })
}

/// Puts names into the places `{0}`, `{1}` … of a template, in one pass, so that a name can't be taken for a place.
fn fill(template: &str, names: &[&str]) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        match after.split_once('}') {
            Some((index, tail)) => {
                filled.push_str(
                    index
                        .parse::<usize>()
                        .ok()
                        .and_then(|index| names.get(index))
                        .unwrap_or(&"?"),
                );
                rest = tail;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    filled
}
