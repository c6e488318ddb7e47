//! `docs/configuration.md`, printed from the table of keys.
//!
//! Holds: every key is in it, in the table's order; the text around the table is here too, so that the file is whole.

use crate::config::keys::{KEYS, Key, Presence};

const HEAD: &str = "\
<!-- Printed from src/config/keys.rs; `UPDATE_GOLDEN=1 cargo test --test config` rewrites it. -->
# Configuration

One YAML file: `shardgate --config FILE`; with `--check` it is checked, against the live shards too, and the proxy doesn't start. Examples
with comments are in `shard-config/`. A key that isn't known, a bad value, a contradiction: each is an error with file, line and column, and all of
them are reported at once. Keys marked *later* are known by name and refused until a later version; left out, they are off.

- **Durations** carry a unit: `500ms`, `5s`, `10m`, `2h`, `1d`; `0` alone means no bound where that is allowed.
- **Secrets and URLs** may hold `${NAME}`, replaced from the environment. In a URL each part is replaced after the URL is cut, so a
  password may contain any character; a URL that is one `${NAME}` alone is replaced whole.
- **Names of tables, columns and functions** follow SQL: `Users` is `users`, `'\"Users\"'` keeps its case; a bare name is in schema `public`.
- YAML's merge keys (`<<`) and own tags are refused; repeated keys are errors.

What the file declares, the shards remember: new shards, keyspaces and tables become a new epoch of the topology at start or reload; what is left out stays as it
is stored; a declaration that contradicts where rows already lie is an error that names both sides.
";

const USERS: &str = "\
## The users file

`auth.users_file` names a YAML file with a list of users:

```yaml
- name: app
  verifier: \"SCRAM-SHA-256$4096:c2FsdA==$…:…\"     # from pg_authid on a shard
  admin: true
- {name: report, verifier: \"${REPORT_VERIFIER}\", password: \"${REPORT_PASSWORD}\"}
```

A client's statements run on the shards under its own role, so the role must exist there; no user may be the control role, the user in a shard's URL.
Under `trust` the file may be left out, and every user may administer.

";

/// The whole text of `docs/configuration.md`.
pub fn reference() -> String {
    let mut text = HEAD.to_owned();
    let mut section = "";
    let mut users = false;
    for key in KEYS {
        let name = key.path.split(['.', '[']).next().unwrap_or(key.path);
        if name == "users" && !users {
            users = true;
            text.push('\n');
            text.push_str(USERS);
            text.push_str("| key | type | default | |\n|---|---|---|---|\n");
        } else if section.is_empty() {
            text.push_str("\n## The keys\n\n| key | type | default | |\n|---|---|---|---|\n");
        }
        section = name;
        text.push_str(&row(key));
    }
    text
}

fn row(key: &Key) -> String {
    let default = match key.presence {
        Presence::Required => "required",
        Presence::Optional => key.default,
        Presence::Later(_) => "*later*",
    };
    let help = match key.presence {
        Presence::Required | Presence::Optional => key.help.to_owned(),
        Presence::Later([]) => format!("Not in this version. {}", key.help),
        Presence::Later(off) => format!("In this version only `{}`. {}", off.join("` or `"), key.help),
    };
    let path = key
        .path
        .replace(".*", ".NAME")
        .replace("[]", "\\[\\]")
        .replace("\\[\\]", "[]");
    format!("| `{path}` | {} | {default} | {help} |\n", key.kind.replace('|', "\\|"))
}
