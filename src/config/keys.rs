//! The table of keys: names, types, defaults, help, and which of them this version has.
//!
//! Why one table: the check of names, the did-you-mean and `docs/configuration.md` are all read from it, so they
//! can't drift apart. In a path `*` is a name that the operator chooses and `[]` an entry of a list.

/// One key of the configuration file.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// path with `*` for a name that the operator chooses, `[]` for a list's entries
    pub path: &'static str,
    /// its type in words
    pub kind: &'static str,
    /// the default in words; empty: required or nothing
    pub default: &'static str,
    /// is it in this version?
    pub presence: Presence,
    /// one or two sentences
    pub help: &'static str,
}

/// Is a key in this version?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// yes, and must be there
    Required,
    /// yes, may be left out
    Optional,
    /// known by name; refused unless it has one of these values, which say "off"
    Later(&'static [&'static str]),
}

const fn required(path: &'static str, kind: &'static str, help: &'static str) -> Key {
    Key {
        path,
        kind,
        default: "",
        presence: Presence::Required,
        help,
    }
}

const fn optional(path: &'static str, kind: &'static str, default: &'static str, help: &'static str) -> Key {
    Key {
        path,
        kind,
        default,
        presence: Presence::Optional,
        help,
    }
}

const fn later(path: &'static str, kind: &'static str, off: &'static [&'static str], help: &'static str) -> Key {
    Key {
        path,
        kind,
        default: "off",
        presence: Presence::Later(off),
        help,
    }
}

/// Every key, in the order of the documentation; a mapping comes before the keys inside it.
pub const KEYS: &[Key] = &[
    required("version", "1", "Version of this file's format."),
    optional(
        "listen",
        "address, or a list of them",
        "127.0.0.1:6432",
        "Where the Postgres protocol is spoken: `host:port`; the host is an IP address, `localhost`, or `*` for all.",
    ),
    optional(
        "http",
        "address",
        "no HTTP",
        "Where `/metrics`, `/healthz` and `/readyz` answer. Read-only and without authentication, so loopback only.",
    ),
    optional("auth", "mapping", "scram-sha-256", "Who may come in, and as whom."),
    optional(
        "auth.method",
        "`scram-sha-256` or `trust`",
        "scram-sha-256",
        "How a client proves who it is. `trust` asks for nothing, makes every user an administrator, and is allowed only \
         where `listen` is on loopback. `cert` is not in this version.",
    ),
    optional(
        "auth.users_file",
        "path",
        "",
        "File with the users, relative to this file; required under `scram-sha-256`. See below.",
    ),
    optional(
        "auth.role",
        "`own` or `shared`",
        "own",
        "The role that statements run under on the shards: the client's own, or one for all (`name`).",
    ),
    optional("auth.name", "text", "", "Under `role: shared`: the role's name."),
    optional(
        "auth.password",
        "secret",
        "",
        "Under `role: shared`: the role's password on the shards.",
    ),
    optional("tls", "mapping", "off", "TLS towards clients."),
    later(
        "tls.mode",
        "`off`, `disable`, `prefer`, `require`",
        &["off", "disable"],
        "Whether TLS is offered.",
    ),
    later("tls.cert", "path", &[], "Certificate chain."),
    later("tls.key", "path", &[], "Private key."),
    optional("topology", "mapping", "in the shards", "Where the topology is stored."),
    later(
        "topology.store",
        "`shards` or `etcd`",
        &["shards"],
        "`shards`: in schema `shardgate` on the shards themselves, the home shard leading.",
    ),
    later("topology.endpoints", "list of addresses", &[], "Addresses of etcd."),
    required(
        "database",
        "text",
        "The database name that clients connect to; `shardgate` is the admin database.",
    ),
    optional("pool", "mapping", "see its keys", "Backends per shard."),
    optional(
        "pool.size",
        "whole number, 1 to 10000",
        "20",
        "The most backends on one shard, over all users.",
    ),
    optional(
        "pool.mode",
        "`transaction`",
        "transaction",
        "When a backend goes back to the pool: at the end of a transaction. `session` is not in this version; state that \
         can't be replayed pins a backend by itself.",
    ),
    optional(
        "pool.checkout_timeout",
        "duration",
        "5s",
        "How long a statement waits for a free backend before it fails with SQLSTATE 53300.",
    ),
    optional(
        "pool.idle_timeout",
        "duration",
        "5m",
        "How long a backend may lie idle before it is closed; 0: for ever.",
    ),
    optional(
        "pool.pinned",
        "whole number, 0 to 10000",
        "as `pool.size`",
        "The most backends of a shard that may be pinned to sessions at once, apart from `pool.size`; beyond it 53300.",
    ),
    optional(
        "lane",
        "mapping",
        "off",
        "Sharing backends between clients' short reads.",
    ),
    later(
        "lane.mode",
        "`off` or `auto`",
        &["off"],
        "Whether short reads share backends.",
    ),
    optional("limits", "mapping", "see its keys", "Bounds per proxy and per client."),
    optional(
        "limits.clients",
        "whole number, 1 to 1000000",
        "10000",
        "Sessions at once; beyond it 53300.",
    ),
    optional(
        "limits.statement_timeout",
        "duration",
        "0",
        "The longest that a statement may run; 0: no bound.",
    ),
    optional(
        "limits.idle_in_transaction_timeout",
        "duration",
        "0",
        "The longest that a client may idle inside a transaction; 0: no bound.",
    ),
    optional(
        "limits.login_timeout",
        "duration",
        "10s",
        "From the first byte to the end of authentication.",
    ),
    optional(
        "default_shard",
        "a shard",
        "",
        "Where tables that aren't listed live. Left out, touching one is an error.",
    ),
    optional(
        "home",
        "a shard",
        "the first shard",
        "The shard that answers what belongs to no table, and that leads the topology. It can't be changed once stored.",
    ),
    optional(
        "functions",
        "mapping from function to class",
        "none",
        "User functions allowed when there are several shards.",
    ),
    optional(
        "functions.*",
        "`pure`, `local` or `keeps_key`",
        "",
        "`pure`: depends on its arguments alone and changes nothing. `local`: touches only rows of its shard. `keeps_key`: \
         a `local` trigger function that leaves the sharding key as it is, for BEFORE ROW triggers.",
    ),
    optional(
        "directives",
        "`off` or `comments`",
        "off",
        "`comments`: obey a leading `/* shardgate: … */`. Off, comments mean nothing.",
    ),
    required("shards", "list of mappings", "One entry per shard, 1 to 128 of them."),
    required(
        "shards[].name",
        "text",
        "Its name: a letter, then letters, digits, `_` and `-`.",
    ),
    required(
        "shards[].primary",
        "URL",
        "`postgres://user:password@host:port/database`. The user is the control role: it owns schema `shardgate` there and \
         may not be a client's role.",
    ),
    later("shards[].replicas", "list of URLs", &[], "Its replicas."),
    optional(
        "shards[].weight",
        "whole number, 1 to 1000",
        "1",
        "Its share when buckets are placed by the ring.",
    ),
    optional(
        "shards[].capacity",
        "number, 0.01 to 10000",
        "",
        "The number of backends that it can keep busy: what its utilisation is measured against.",
    ),
    optional(
        "shards[].labels",
        "mapping from text to text",
        "none",
        "Free labels, such as a region.",
    ),
    optional("shards[].labels.*", "text", "", "A label's value."),
    optional(
        "keyspaces",
        "mapping from name to keyspace",
        "none",
        "How a key becomes a place.",
    ),
    optional(
        "keyspaces.*",
        "mapping",
        "",
        "One keyspace. Tables of one keyspace are co-located: equal keys, same shard.",
    ),
    required(
        "keyspaces.*.strategy",
        "`hash`, `range` or `category`",
        "How its keys are placed.",
    ),
    required(
        "keyspaces.*.type",
        "a Postgres type",
        "Type of the key columns: smallint, int and bigint (interchangeable), text, varchar, char, uuid, date, timestamp, \
         timestamptz or numeric. A length is allowed and means nothing: each column has its own.",
    ),
    optional(
        "keyspaces.*.labels",
        "mapping from text to text",
        "none",
        "What the labels of a shard must contain to own a bucket of it, such as a region. No proposal and no move goes against it.",
    ),
    optional("keyspaces.*.labels.*", "text", "", "The label's value."),
    optional(
        "keyspaces.*.buckets",
        "whole number, 1 to 65536",
        "1024",
        "For hash: the number of equal arcs of the token ring. It can't be changed later.",
    ),
    optional(
        "keyspaces.*.placement",
        "mapping",
        "the ring, by weight",
        "For hash: where the buckets lie at first. Afterwards the stored placement rules.",
    ),
    optional(
        "keyspaces.*.placement.all",
        "a shard",
        "",
        "Every bucket on this shard: the first day with one full Postgres and some empty ones.",
    ),
    optional(
        "keyspaces.*.ranges",
        "list of mappings",
        "",
        "For range: ascending ranges without gaps; the last has no `until`.",
    ),
    optional(
        "keyspaces.*.ranges[].until",
        "a value of the type",
        "to the end",
        "Exclusive upper bound; of a timestamptz with its offset, as in `\"2026-04-01T00:00:00Z\"`.",
    ),
    required("keyspaces.*.ranges[].shard", "a shard", "Where the range lies."),
    optional(
        "keyspaces.*.lookup",
        "mapping",
        "key and category are the same",
        "For category: the reference table that knows each key's category.",
    ),
    required("keyspaces.*.lookup.table", "a reference table", "The table."),
    required("keyspaces.*.lookup.key", "a column", "Its column of keys."),
    required("keyspaces.*.lookup.category", "a column", "Its column of categories."),
    optional(
        "keyspaces.*.categories_by_key",
        "mapping from key to category",
        "",
        "For category: each key's category, where there is no lookup table.",
    ),
    optional("keyspaces.*.categories_by_key.*", "text", "", "The key's category."),
    optional(
        "keyspaces.*.categories",
        "mapping from category to shards",
        "",
        "For category: where each category lies.",
    ),
    optional(
        "keyspaces.*.categories.*",
        "a shard, or a list of them",
        "",
        "Its shard; a list spreads the category over them by the hash of the key.",
    ),
    optional(
        "keyspaces.*.categories.*.shards",
        "a shard, or a list of them",
        "",
        "Its shards, where the category is written as a mapping.",
    ),
    optional(
        "keyspaces.*.categories.*.labels",
        "mapping from text to text",
        "none",
        "What the labels of a shard must contain to own a part of the category, beyond the keyspace's.",
    ),
    optional("keyspaces.*.categories.*.labels.*", "text", "", "The label's value."),
    optional(
        "keyspaces.*.default",
        "a shard",
        "",
        "For category: where categories go that aren't listed.",
    ),
    optional(
        "tables",
        "mapping from table to placement",
        "none",
        "The tables; a bare name is in schema `public`.",
    ),
    optional(
        "tables.*",
        "mapping",
        "",
        "One of: `keyspace` with `key`; `reference: true`; `unsharded`.",
    ),
    optional(
        "tables.*.keyspace",
        "a keyspace",
        "",
        "The table is sharded by this keyspace.",
    ),
    optional(
        "tables.*.key",
        "a column",
        "",
        "The column that holds its key; NOT NULL.",
    ),
    optional(
        "tables.*.reference",
        "`true`",
        "",
        "A small table that is on every shard in full.",
    ),
    optional(
        "tables.*.unsharded",
        "a shard",
        "",
        "The table lives on this shard alone.",
    ),
    optional(
        "gather",
        "mapping",
        "off",
        "Bringing rows of several shards into one Postgres.",
    ),
    later(
        "gather.max_bytes",
        "size",
        &["0"],
        "The most that one statement may bring together.",
    ),
    optional(
        "rebalancer",
        "mapping",
        "off",
        "Proposing moves and splits of buckets. Left out, nothing is proposed.",
    ),
    optional(
        "rebalancer.policy",
        "`off` or `propose`",
        "propose",
        "Whether it proposes moves and splits (`SHOW PROPOSALS`). `auto`, which makes them too, is not in this version.",
    ),
    optional(
        "rebalancer.threshold",
        "number, 0.1 to 0.95",
        "0.7",
        "The utilisation of a shard, over a minute, above which it proposes.",
    ),
    later("rebalancer.window", "times of day", &[], "When it may act."),
    required("users[].name", "text", "The role's name: what the client logs in as."),
    optional(
        "users[].verifier",
        "secret",
        "",
        "`SCRAM-SHA-256$…` as `pg_authid.rolpassword` on the shards has it; required under `scram-sha-256`. With the same \
         verifier on all shards the proxy passes the login on without knowing the password.",
    ),
    optional(
        "users[].admin",
        "`true` or `false`",
        "false",
        "May use the admin database.",
    ),
    optional(
        "users[].password",
        "secret",
        "",
        "Password on the shards, where the verifier there is another one.",
    ),
];
