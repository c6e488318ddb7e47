//! The choice as a commented configuration.

use std::fmt::Write as _;

use super::choose::{Choice, Chosen, Member};
use super::schema::{Name, Schema, Table};

/// A shard as the command line names it.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) name: String,
    /// with the password's place taken by a variable
    pub(super) url: String,
    /// the variable that must hold the password
    pub(super) variable: Option<String>,
    pub(super) is_local: bool,
}

/// The whole file.
pub(super) fn text(schema: &Schema, choice: &Choice, shards: &[Shard]) -> String {
    let mut file = File::default();
    let file = &mut file;
    heading(file, schema, shards);
    server(file, schema, shards);
    file.line("shards:");
    for shard in shards {
        file.line(&format!("  - name: {}", shard.name));
        file.line(&format!("    primary: {}", scalar(&shard.url)));
        file.line("    # capacity: 8               # backends that it can keep busy, about its CPUs");
    }
    if choice
        .keyspaces
        .iter()
        .any(|keyspace| keyspace.ready().next().is_some())
    {
        file.line("keyspaces:");
    }
    for keyspace in &choice.keyspaces {
        let is_ready = keyspace.ready().next().is_some();
        file.prefix = if is_ready { "" } else { "# " };
        if !is_ready {
            file.line("keyspaces:");
        }
        self::keyspace(file, keyspace, &home(shards));
        file.prefix = "";
    }
    tables(file, schema, choice);
    not_yet(file, schema, choice);
    rest(file, schema, choice, &home(shards));
    std::mem::take(&mut file.text)
}

#[derive(Default)]
struct File {
    text: String,
    prefix: &'static str,
}

impl File {
    fn line(&mut self, line: &str) {
        // Writing into a String can't fail.
        writeln!(self.text, "{}{line}", self.prefix).ok();
    }
}

fn home(shards: &[Shard]) -> String {
    shards
        .first()
        .map_or_else(|| "s0".to_owned(), |shard| shard.name.clone())
}

fn heading(file: &mut File, schema: &Schema, shards: &[Shard]) {
    let (database, version) = (&schema.database, &schema.version);
    file.line(&format!(
        "# Written by `shardctl init` from database {database}, Postgres {version}."
    ));
    file.line("# Every row stays where it is: all buckets begin on the first shard, and nothing moves by itself.");
    if shards.len() > 1 {
        file.line("# The other shards need the same tables (pg_dump --schema-only … | psql …), and the rows of those that are");
        file.line("# to be on every shard (pg_dump --data-only --table …).");
    }
    file.line("# Next: shardctl check --config THIS_FILE, then shardgate --config THIS_FILE.");
    for variable in shards.iter().filter_map(|shard| shard.variable.as_ref()) {
        file.line(&format!("# The password belongs into the environment: {variable}."));
    }
}

fn server(file: &mut File, schema: &Schema, shards: &[Shard]) {
    file.line("version: 1");
    file.line("listen: 127.0.0.1:6432           # where applications connect");
    file.line("http: 127.0.0.1:9432             # /metrics, /healthz, /readyz");
    if shards.iter().all(|shard| shard.is_local) {
        file.line("auth: {method: trust}            # on loopback only; elsewhere scram-sha-256 with a users_file");
    } else {
        file.line("auth:");
        file.line("  method: scram-sha-256");
        file.line("  # - {name: app, verifier: \"SCRAM-SHA-256$…\"}  for each role, where the verifier is what");
        file.line("  #   SELECT rolname, rolpassword FROM pg_authid  says; docs/configuration.md has an example.");
        file.line("  users_file: users.yaml");
    }
    file.line(&format!("database: {}", scalar(&schema.database)));
    file.line("pool: {size: 20}                 # backends per shard");
    let home = home(shards);
    file.line(&format!(
        "default_shard: {home}                # tables that aren't listed stay here"
    ));
}

fn keyspace(file: &mut File, keyspace: &Chosen, home: &str) {
    let (name, kind) = (&keyspace.name, keyspace.key_type.name());
    match &keyspace.lookup {
        None => {
            let entry = format!("{name}: {{strategy: hash, type: {kind}, buckets: 1024, placement: {{all: {home}}}}}");
            file.line(&format!("  {entry:<76} # one key: one row of {}", keyspace.root));
        }
        Some(lookup) => {
            let entry = format!("{name}:");
            file.line(&format!(
                "  {entry:<30} # a key lies with its category, as {} says",
                keyspace.root
            ));
            file.line("    strategy: category");
            file.line(&format!("    type: {kind}"));
            file.line(&format!(
                "    lookup: {{table: {}, key: {}, category: {}}}",
                scalar(&keyspace.root.to_string()),
                scalar(&lookup.key),
                scalar(&lookup.category)
            ));
            file.line(
                "    categories:                    # a list of shards spreads a category by the hash of its keys",
            );
            for value in &lookup.values {
                file.line(&format!("      {}: {home}", scalar(value)));
            }
            file.line(&format!("    default: {home}"));
        }
    }
}

fn tables(file: &mut File, schema: &Schema, choice: &Choice) {
    let ready: Vec<(&Chosen, &Member)> = choice
        .keyspaces
        .iter()
        .flat_map(|keyspace| keyspace.ready().map(move |member| (keyspace, member)))
        .collect();
    if ready.is_empty() && choice.references.is_empty() {
        file.line("# tables: none can be spread as it is; below is what would make it so.");
        return;
    }
    file.line("tables:");
    for (keyspace, member) in ready {
        let entry = entry(keyspace, member);
        file.line(&format!("  {entry:<56} # {}", size(schema, &member.table)));
    }
    for name in &choice.references {
        let entry = format!("{}: {{reference: true}}", scalar(&name.to_string()));
        file.line(&format!("  {entry:<56} # {}, on every shard", size(schema, name)));
    }
}

fn entry(keyspace: &Chosen, member: &Member) -> String {
    let (table, key) = (scalar(&member.table.to_string()), scalar(&member.key));
    format!("{table}: {{keyspace: {}, key: {key}}}", keyspace.name)
}

fn not_yet(file: &mut File, schema: &Schema, choice: &Choice) {
    let mut is_first = true;
    for keyspace in &choice.keyspaces {
        for member in keyspace.members.iter().filter(|member| !member.obstacles.is_empty()) {
            if std::mem::take(&mut is_first) {
                file.line("");
                file.line("# Could be spread too, after a change. It is yours to judge; take the line into tables: afterwards.");
            }
            file.line(&format!(
                "#   {}   # {}",
                entry(keyspace, member),
                size(schema, &member.table)
            ));
            for obstacle in &member.obstacles {
                file.line(&format!("#     {}", obstacle.why));
                if let Some(sql) = &obstacle.sql {
                    file.line(&format!("#       {sql}"));
                }
            }
        }
    }
}

fn rest(file: &mut File, schema: &Schema, choice: &Choice, home: &str) {
    let listed = |name: &Name| {
        let mut members = choice.keyspaces.iter().flat_map(|keyspace| &keyspace.members);
        choice.references.contains(name) || members.any(|member| member.table == *name)
    };
    let left: Vec<&Table> = schema.tables.iter().filter(|table| !listed(&table.name)).collect();
    if left.is_empty() {
        return;
    }
    file.line("");
    file.line(&format!("# Not listed, so they stay on {home}:"));
    for table in left {
        file.line(&format!("#   {}   # {}", table.name, size(schema, &table.name)));
    }
}

/// `34 MB, about 100,000 rows`.
fn size(schema: &Schema, name: &Name) -> String {
    let Some(table) = schema.tables.iter().find(|table| table.name == *name) else {
        return String::new();
    };
    let bytes = match table.bytes {
        bytes if bytes >= 10 << 30 => format!("{} GB", bytes >> 30),
        bytes if bytes >= 10 << 20 => format!("{} MB", bytes >> 20),
        bytes => format!("{} kB", bytes >> 10),
    };
    if table.rows < 0.0 {
        bytes
    } else {
        format!("{bytes}, about {} rows", grouped(&format!("{:.0}", table.rows)))
    }
}

fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A YAML scalar: plain where it can't be read as anything else.
fn scalar(text: &str) -> String {
    let is_plain = text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.".contains(c))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text);
    if is_plain {
        text.to_owned()
    } else {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    }
}
