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
        "Rewrite it in plainer SQL." }
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
    LexicalError { "lexical-error" "42601",
        "Text that Postgres's lexer rejects",
        "{0}",
        "The statement can't be cut into tokens, so nothing was sent.",
        "Correct the text." }
    EncodingUnsafe { "encoding-unsafe" "0A000",
        "Text beyond ASCII under a client_encoding whose bytes can look like quotes (SJIS, BIG5, GBK, GB18030, UHC, JOHAB)",
        "statement can't be read under client_encoding {0}",
        "A byte of a character could be taken for a quote, and then the proxy and a shard would read different statements.",
        "SET client_encoding = 'UTF8'." }
    SessionStatement { "session-statement" "0A000",
        "BEGIN, PREPARE, FETCH and other statements of the session where a plan is asked for (in EXPLAIN (ROUTE))",
        "statement has no route",
        "The session answers it itself; it reads no table.",
        "Ask for the route of the query inside it." }
    StatementUnknown { "statement-unknown" "0A000",
        "Statements that the proxy doesn't know",
        "{0} is not supported on several shards",
        "{1}.",
        "Run it on each shard directly, or use a topology of one shard." }
    OpaqueCode { "opaque-code" "0A000",
        "DO and CALL",
        "{0} is not supported on several shards",
        "Its body may read any table, and nothing says which shards that concerns.",
        "Send its statements one by one, or run it on a shard directly." }
    DdlSeveralShards { "ddl-several-shards" "0A000",
        "DDL, TRUNCATE, LOCK and maintenance that concern tables of different places",
        "{0} concerns objects that don't live on the same shards",
        "It names {1}; a table on one shard and one on all can't be tied together.",
        "Use a statement for each, or list the tables in the same place." }
    DdlSomeShards { "ddl-some-shards" "0A000",
        "DDL of a view, sequence or type that some shards have and others don't",
        "\"{0}\" exists on some shards only",
        "A statement runs where its object is, and this one is neither on one shard nor on all.",
        "shardctl check says where the shards differ; make them alike by hand, then RELOAD." }
    DdlNotKnown { "ddl-not-known" "0A000",
        "DDL that isn't in the table of what runs on every shard (foreign tables, publications, rules, event triggers …)",
        "{0} is not supported on several shards",
        "It isn't known to do the same on every shard.",
        "Run it on every shard directly, the same everywhere, then RELOAD." }
    ClusterObject { "cluster-object" "0A000",
        "DDL of roles, databases, tablespaces and the server's settings",
        "{0} concerns a whole cluster, not a database",
        "Several shards may lie in one cluster, and then would wait for each other.",
        "Run it once on each cluster directly." }
    CreateFromQuery { "create-from-query" "0A000",
        "CREATE TABLE AS and materialized views over sharded tables, or of a table on several shards",
        "{0} over several shards",
        "\"{1}\" lies on all shards, and each would keep its own rows of the query.",
        "CREATE TABLE with its columns, then INSERT … SELECT." }
    AlterVolatile { "alter-volatile" "0A000",
        "ALTER TABLE that fills a column of existing rows with values that differ between shards",
        "ALTER TABLE fills a column by {0}, which differs between shards",
        "Each shard would compute the values of its own rows.",
        "ADD COLUMN without it, UPDATE the rows, then ALTER COLUMN … SET DEFAULT." }
    KeyChanged { "key-changed" "0A000",
        "ALTER TABLE that renames or moves a sharded table, or changes its key's type",
        "sharded table \"{0}\" can't be changed in its name or in its key \"{1}\"",
        "{2}.",
        "Create a table as it should be, list it, and copy the rows with INSERT … SELECT." }
    ConcurrentIndexUnnamed { "concurrent-index-unnamed" "0A000",
        "CREATE INDEX CONCURRENTLY without a name on several shards",
        "CREATE INDEX CONCURRENTLY needs the index's name on several shards",
        "It is built shard by shard, and what a failure leaves behind must be found again.",
        "Name the index; with IF NOT EXISTS the statement can be repeated." }
    UniqueWithoutKey { "unique-without-key" "0A000",
        "CREATE UNIQUE INDEX CONCURRENTLY without the sharding key",
        "unique index on table \"{0}\" doesn't contain the sharding key \"{1}\"",
        "Each shard would enforce it over its own rows only.",
        "Add {1} to the index, or leave UNIQUE out." }
    CreateNotListed { "create-not-listed" "0A000",
        "CREATE TABLE of a table that isn't listed, without a default_shard",
        "table \"{0}\" is not listed in the config",
        "Without an entry under tables: nothing says where its rows will live.",
        "List {0} under tables: (for example {unsharded: <shard>}), or set default_shard." }
    CopyFile { "copy-file" "0A000",
        "COPY of a sharded or reference table from or to a file or program of the server",
        "COPY of table \"{0}\" with {1} is not supported",
        "Every shard is a server of its own, with files of its own.",
        "Use STDIN or STDOUT (in psql: \\copy)." }
    CopyOption { "copy-option" "0A000",
        "COPY of a sharded or reference table with WHERE, an option that isn't known, a statement-level trigger, or an unsafe encoding",
        "COPY of table \"{0}\" with {1} is not supported",
        "The rows are sent on to several shards, and that isn't proven exact here.",
        "Leave it out; filter rows before they are sent, and send them in UTF8." }
    CopyMoment { "copy-default-moment" "0A000",
        "COPY that leaves a column which is no date or timestamp to a default with now() or its kin",
        "column \"{1}\" of table \"{0}\" would be filled by the moment",
        "All rows of one COPY have the same moment, and each shard has its own clock.",
        "List the column in COPY and give it a value in each row." }
    ReferenceWrite { "reference-write" "0A000",
        "MERGE and writes inside WITH of reference tables",
        "reference table \"{0}\" can't be written by {1}",
        "Every shard holds a copy, and all copies must change together.",
        "Use a plain INSERT (with ON CONFLICT, if need be), UPDATE or DELETE." }
    ReferenceReads { "reference-reads" "0A000",
        "A write to a reference table that reads a table which isn't one",
        "write to reference table \"{0}\" reads \"{1}\"",
        "It isn't the same on every shard, so the copies would come to differ.",
        "Read the rows first, and write them as values." }
    ReferenceVaries { "reference-varies" "0A000",
        "A write to a reference table with LIMIT, UPDATE … FROM, random(), ctid or whatever else may differ between shards",
        "write to reference table \"{0}\" depends on {1}",
        "It may come out otherwise on each shard, and the copies would come to differ.",
        "Compute the values first, and write them as constants; for UPDATE … FROM use a subquery in SET." }
    ReferenceDefault { "reference-default" "0A000",
        "INSERT or COPY into a reference table that leaves a column to a default which differs between shards",
        "column \"{1}\" of reference table \"{0}\" has a default that differs between shards",
        "Each shard would evaluate it for itself.",
        "Give {1} a value: now() may be written out, an id can come from SELECT nextval(…) sent by itself." }
    ReferenceLock { "reference-lock" "0A000",
        "FOR UPDATE and its kin on a reference table",
        "rows of reference table \"{0}\" can't be locked",
        "Every shard holds a copy, and a lock on one is not seen on the others.",
        "Name the other tables in FOR UPDATE OF." }
    CatalogWritten { "catalog-written" "0A000",
        "Writes to pg_catalog or to a sequence as a table",
        "\"{0}\" can't be written through the proxy",
        "It is part of each shard's own catalog.",
        "Use DDL." }
    KeyAssigned { "key-assigned" "0A000",
        "Assigning the sharding key",
        "sharding key \"{1}\" of table \"{0}\" can't be assigned",
        "The row might belong to another shard afterwards.",
        "DELETE the row and INSERT it with the new key." }
    InsertKeyUnknown { "insert-key-unknown" "0A000",
        "INSERT whose key is computed, defaulted or selected from elsewhere",
        "sharding key \"{1}\" of the row for table \"{0}\" is not known",
        "It is neither a constant, a parameter, nor a column whose shard is known.",
        "Compute the key in the client and pass it as a value." }
    InsertSequenceDefault { "insert-sequence-default" "0A000",
        "INSERT … SELECT, MERGE, EXPLAIN or WITH that leaves a serial or identity column of a sharded table to its default; COPY, where its default is more than nextval",
        "column \"{1}\" of sharded table \"{0}\" draws from a sequence",
        "Each shard has a sequence of its own, so their values would collide; values of the home shard's are put into the rows of VALUES only.",
        "INSERT the rows by VALUES, or give {1} values, for example from SELECT nextval(…) sent by itself." }
    UpdateSequenceDefault { "update-sequence-default" "0A000",
        "SET of a serial or identity column of a sharded or reference table to DEFAULT",
        "column \"{1}\" of table \"{0}\" would draw from a sequence in UPDATE",
        "Each shard has a sequence of its own, so their values would collide.",
        "Draw a value by SELECT nextval(…) first, and SET the column to it." }
    WriteSeveralShards { "write-several-shards" "0A000",
        "A write whose rows lie on several shards",
        "statement writes to several shards",
        "Its keys leave more than one shard of: {0}.",
        "Fix the sharding key to one value, and send one statement per key." }
    InsertSplit { "insert-split" "0A000",
        "INSERT of several rows over several shards where a part of the rows might do otherwise than the whole",
        "INSERT into \"{0}\" over several shards can't be split beside {1}",
        "{2}",
        "Send the rows of each sharding key in a statement of its own." }
    InsertSplitDefault { "insert-split-default" "0A000",
        "INSERT over several shards that leaves a column to a default which may differ between them",
        "the default of column \"{1}\" of table \"{0}\" can't be used over several shards",
        "It depends on {2}, which is not known to be the same on every shard.",
        "Give {1} a value, or send the rows of each sharding key in a statement of its own." }
    InsertSplitPrivilege { "insert-split-privilege" "0A000",
        "INSERT over several shards by a role that may not write a column whose default must be the same on all",
        "column \"{1}\" of table \"{0}\" must be given its default, and the role may not write it",
        "The default reads the time, so one value is sent to all shards.",
        "GRANT INSERT ({1}) ON {0}, or send the rows of each sharding key in a statement of its own." }
    InsertSplitRepeated { "insert-split-repeated" "0A000",
        "INSERT … ON CONFLICT DO UPDATE … WHERE … RETURNING over several shards with one key twice, other keys between",
        "rows of one sharding key of table \"{0}\" don't stand together",
        "To return rows in order they would be sent in several commands, and only one command sees a row proposed twice.",
        "Order the rows by \"{1}\"." }
    UnshardedApart { "unsharded-apart" "0A000",
        "Unsharded tables of different shards in one statement",
        "tables {0} live on different shards",
        "A statement runs where its tables are.",
        "Read them one by one, or list them as unsharded on one shard." }
    UnshardedBesideSharded { "unsharded-beside-sharded" "0A000",
        "An unsharded table beside sharded ones whose rows lie elsewhere",
        "tables {0} do not meet on one shard",
        "The unsharded table lives on one shard, and the keys leave others.",
        "Make the small table a reference table, or fix the key to a value on its shard." }
    FunctionNotDeclared { "function-not-declared" "0A000",
        "A user's function that isn't declared",
        "function {0} is not declared",
        "It may read any table, and nothing says which shards that concerns.",
        "Declare it under functions: in the config, as pure (its arguments alone) or local (rows of its own shard only)." }
    FunctionRefused { "function-refused" "0A000",
        "Functions that read tables by name or text, or the last backend's state (query_to_xml, ts_stat, currval, lastval, …)",
        "function {0} is not supported",
        "{1}",
        "Use a query, or RETURNING for values of a sequence." }
    BackendState { "backend-state" "0A000",
        "pg_prepared_statements, and pg_cursors on several shards",
        "{0} can't be read through the proxy",
        "It shows what one backend holds: prepared statements have the proxy's own names there, other clients' stand beside them, and cursors may be on another shard.",
        "Keep the names in the application." }
    PreparedTransactions { "prepared-transactions" "0A000",
        "pg_prepared_xacts on several shards",
        "pg_prepared_xacts can't be read over several shards",
        "Each shard knows its own prepared transactions alone, and the proxy's stand among them.",
        "COMMIT PREPARED and ROLLBACK PREPARED find the shard by themselves; SHOW TRANSACTIONS in the admin database shows what is in doubt." }
    OwnGid { "reserved-gid" "0A000",
        "PREPARE TRANSACTION, COMMIT PREPARED and ROLLBACK PREPARED of an identifier that begins with sg:",
        "transaction identifier \"{0}\" is reserved",
        "The proxy's own commits over several shards are called so, and recovery would take it for one of them.",
        "Use an identifier that doesn't begin with sg:." }
    FunctionBesideTable { "function-beside-table" "0A000",
        "nextval, advisory locks, NOTIFY and unknown volatile functions in a statement that reads tables",
        "{0} can't be called in a statement that reads tables",
        "It has one space for all shards, which home keeps, and the tables may be elsewhere.",
        "Call it in a statement of its own, without FROM." }
    LocalFunctionAlone { "local-function-alone" "0A000",
        "A function declared local in a statement without a sharded table",
        "function {0} is declared local, and no table says on which shard to run it",
        "It touches only rows of the shard that it runs on.",
        "Call it in a query over a sharded table, with the key fixed." }
    UserOperator { "user-operator" "0A000",
        "Operators outside pg_catalog",
        "operator {0} is not supported on several shards",
        "An operator of that name lies outside pg_catalog on the search path, and its function may read any table.",
        "Write OPERATOR(pg_catalog.…), or take its schema off the search_path." }
    HomeOnly { "home-only" "0A000",
        "Catalogs, OIDs and server functions beside tables of another shard",
        "{0} speaks of the home shard, and the tables are elsewhere",
        "OIDs and server state differ between shards, and home's are the client's.",
        "Ask for it in a statement of its own." }
    LockClassReserved { "lock-class-reserved" "0A000",
        "Advisory locks of two integers, the first from 1397161984 to 1397227519",
        "advisory locks of class {0} are the proxy's own",
        "Commits and reads over several shards meet at locks of the classes 1397161984 to 1397227519.",
        "Use another first key, or a lock of one bigint." }
    SelectInto { "select-into" "0A000",
        "SELECT … INTO",
        "SELECT INTO is not supported on several shards",
        "It makes a table, and nothing says where its rows belong.",
        "CREATE TABLE, then INSERT … SELECT." }
    TableSample { "tablesample" "0A000",
        "TABLESAMPLE of a sharded table",
        "TABLESAMPLE of sharded table \"{0}\" is not supported",
        "Each shard would sample for itself, which isn't a sample of the whole.",
        "Filter by random() or by the key." }
    SequenceElsewhere { "sequence-elsewhere" "0A000",
        "nextval or setval of a sequence that an unsharded table on another shard than home draws from",
        "the sequence belongs to table \"{0}\", which lives on another shard than home",
        "Home would give out the same values again.",
        "Let the table's default draw from it." }
    CategoryUnknown { "category-unknown" "23514",
        "A written key whose category is not known",
        "key \"{2}\" of table \"{0}\" has no known category",
        "Column \"{1}\" decides the shard by the key's category, and neither the lookup table nor the config knows it.",
        "Add the key to the lookup table first." }
    BeyondRanges { "beyond-ranges" "23514",
        "A written key beyond the last range",
        "key \"{2}\" of table \"{0}\" lies beyond the last range of its keyspace",
        "Column \"{1}\" decides the shard, and no range holds the value.",
        "Add a range to the keyspace." }
    WriteByHand { "write-by-hand" "0A000",
        "A write under shardgate.shard or shardgate.key, unless its rows belong to that shard",
        "write while shardgate.shard or shardgate.key names shard \"{0}\"",
        "Routing by hand is for reads: nothing proves that this shard owns all rows that are written or locked.",
        "RESET shardgate.shard and shardgate.key, or fix the key." }
    ExplainFanOut { "explain-fan-out" "0A000",
        "EXPLAIN of a write on several shards",
        "EXPLAIN of a write over several shards is not supported",
        "The shards get texts of their own, or one after the other, and an EXPLAIN of one says nothing of the others.",
        "Use EXPLAIN (ROUTE), or EXPLAIN with the key fixed." }
    CursorFanOut { "cursor-fan-out" "0A000",
        "DECLARE CURSOR over several shards with SCROLL, BINARY, WITH HOLD or FOR UPDATE",
        "a cursor of this form over several shards is not supported",
        "It reads forward only, inside its transaction: the shards' rows are merged as they are fetched.",
        "Leave SCROLL, BINARY, WITH HOLD and FOR UPDATE out, or fix the key." }
    CopyFanOut { "copy-fan-out" "0A000",
        "COPY (query) TO over several shards",
        "COPY of a query over several shards is not supported",
        "The shards' streams would have to be merged in COPY's format.",
        "Fix the key, or use SELECT." }
    FanOutSetOperation { "set-operation-across-shards" "0A000",
        "UNION, INTERSECT or EXCEPT over several shards, unless every arm yields the key at the same place (or UNION ALL of sharded arms)",
        "set operation over several shards",
        "Its arms are compared row by row over all shards, and rows that are equal may lie on different ones.",
        "Yield the sharding key in every arm, use UNION ALL of sharded tables, or filter by one key." }
    FanOutRecursive { "recursive-cte-across-shards" "0A000",
        "WITH RECURSIVE over several shards",
        "WITH RECURSIVE over several shards",
        "Each step may need rows of every shard.",
        "Filter by one value of the sharding key." }
    FanOutInnerOrder { "subquery-order-across-shards" "0A000",
        "ORDER BY in a subquery of FROM whose order would be the answer's",
        "the answer's order comes from a subquery",
        "The outermost SELECT has no ORDER BY of its own, and the order of a subquery is lost between shards.",
        "Put the ORDER BY on the outermost SELECT." }
    FanOutInnerLimit { "subquery-limit-across-shards" "0A000",
        "LIMIT, OFFSET or FETCH in a subquery, unless it reads only rows of the outer row's key",
        "LIMIT in a subquery over several shards",
        "Each shard would cut off its own rows, and a LIMIT without a total order may choose differently on each.",
        "Put the LIMIT on the outermost SELECT, or tie the subquery to the sharding key of the outer row." }
    FanOutInnerAggregate { "subquery-aggregate-across-shards" "0A000",
        "An aggregate in a subquery or CTE whose GROUP BY lacks the key",
        "aggregate in a subquery over several shards",
        "Each shard would see only its own part of every group.",
        "Add the sharding key to its GROUP BY, or aggregate in the outermost SELECT." }
    FanOutInnerDistinct { "subquery-distinct-across-shards" "0A000",
        "DISTINCT in a subquery or CTE that doesn't yield the key",
        "DISTINCT in a subquery over several shards",
        "Equal rows may lie on different shards.",
        "Yield the sharding key too, or use DISTINCT in the outermost SELECT." }
    FanOutWindow { "window-across-shards" "0A000",
        "A window function whose PARTITION BY lacks the key",
        "window function over several shards",
        "Its partitions hold rows of several shards.",
        "Add the sharding key to PARTITION BY (written in OVER itself), or filter by one key." }
    FanOutDistinctOn { "distinct-on-across-shards" "0A000",
        "DISTINCT ON without the key",
        "DISTINCT ON over several shards",
        "The first row of each set must be found over all shards.",
        "Add the sharding key to DISTINCT ON, or filter by one key." }
    FanOutDistinctAggregate { "distinct-over-aggregates" "0A000",
        "DISTINCT ON over aggregates whose groups lie on several shards",
        "DISTINCT ON over aggregates of several shards",
        "Groups are known only after the shards' parts are folded.",
        "Use DISTINCT, or choose in the client." }
    FanOutDistinctExpression { "distinct-expression" "0A000",
        "SELECT DISTINCT with a subquery among its outputs, or ordered by what it doesn't select",
        "DISTINCT over several shards of something that can't be compared between them",
        "Rows are compared between shards by their output columns.",
        "Select plain columns." }
    FanOutSubquery { "subquery-across-shards" "0A000",
        "A subquery in an expression that reads rows of several shards",
        "subquery over several shards",
        "It reads a sharded table, and no condition ties it to the sharding key of the row that it is evaluated for.",
        "Correlate it by the sharding key, compare keys with IN, or run it as a statement of its own." }
    FanOutOuterAggregate { "outer-aggregate" "0A000",
        "An aggregate in a subquery that belongs to a level outside",
        "aggregate {0}() of an outer level",
        "Its arguments come from outside the subquery that it is written in.",
        "Write it at the level that it belongs to." }
    FanOutJoin { "join-not-on-key" "0A000",
        "A join of sharded tables that isn't on their keys",
        "join of sharded tables over several shards",
        "No condition says that their sharding keys are equal, so rows that belong together may lie on different shards.",
        "Join them on their sharding keys (both of one keyspace), or filter each by one key." }
    FanOutFullJoin { "full-join-across-shards" "0A000",
        "FULL JOIN over several shards, unless its ON says that the sharding keys of both sides are equal",
        "FULL JOIN over several shards",
        "A row without a partner on its own shard may have one on another.",
        "Join ON the sharding key of both sides, or filter by one key." }
    FanOutOuterReference { "reference-left-join-sharded" "0A000",
        "An outer join that preserves the rows of a reference table (or of what isn't sharded) against a sharded one",
        "outer join preserves a table that every shard holds in full",
        "Each of its rows would be reported by every shard that has no match for it.",
        "Put the sharded table on the preserved side, or use an inner join." }
    FanOutKeyspaces { "keyspaces-differ" "0A000",
        "A join of tables of different keyspaces",
        "join of tables of different keyspaces over several shards",
        "Equal keys of different keyspaces may lie on different shards.",
        "Filter each table by one key on the same shard, or put both into one keyspace." }
    FanOutReferenceOrder { "reference-subquery-order" "0A000",
        "A subquery over reference tables whose result depends on the order of rows",
        "{0} in a subquery over reference tables",
        "Shards may store the rows of a reference table in different orders.",
        "Give it a total order, or run it as a statement of its own." }
    FanOutGroupingSets { "grouping-sets-across-shards" "0A000",
        "GROUPING SETS, ROLLUP, CUBE over several shards",
        "GROUPING SETS, ROLLUP or CUBE over several shards",
        "Super-aggregates are taken over all shards.",
        "Use one GROUP BY per statement." }
    FanOutGroupType { "group-key-type" "0A000",
        "A GROUP BY or DISTINCT key whose type or equality isn't known here",
        "{0} can't be compared between shards",
        "Its type isn't certain without a server, or has no equality that is known here.",
        "Group by a plain column, cast the key to a plain type, or add the sharding key." }
    FanOutAggregate { "aggregate-not-mergeable" "0A000",
        "An aggregate other than count, sum, min, max, avg, bool_and, bool_or, every, bit_and, bit_or",
        "aggregate {0}() over several shards",
        "The shards' partial values can't be folded into its result.",
        "Add the sharding key to GROUP BY, or filter by one key." }
    FanOutAggregateArguments { "aggregate-order-by" "0A000",
        "An aggregate with ORDER BY or WITHIN GROUP",
        "ordered aggregate {0}() over several shards",
        "It needs all rows of all shards in one order.",
        "Add the sharding key to GROUP BY, or filter by one key." }
    FanOutAggregateDistinct { "aggregate-distinct" "0A000",
        "DISTINCT inside an aggregate, except over the key itself",
        "{0}(DISTINCT …) over several shards",
        "The same value may occur on several shards.",
        "Use SELECT DISTINCT and count in the client, or add the sharding key to GROUP BY." }
    FanOutFloat { "float-aggregate" "0A000",
        "sum and avg of real and double precision",
        "{0}() of floats over several shards",
        "Sums of floats depend on the order in which rows are added.",
        "Cast the argument to numeric." }
    FanOutAggregateExpression { "expression-over-aggregates" "0A000",
        "An expression over aggregates with a column in it that is no group key by itself",
        "expression over aggregates of several shards, with a column that is no group key by itself",
        "It is computed from merged groups, which have keys and aggregates alone.",
        "Group by the plain column, or select the key and the aggregates by themselves." }
    FanOutHaving { "having-across-shards" "0A000",
        "HAVING that compares an aggregate with a parameter declared as something else than an exact number",
        "HAVING with {0} over several shards",
        "It is evaluated after the shards' parts are folded, over exact numbers only.",
        "Declare the parameter as an integer or numeric, or cast it in the text." }
    FanOutCollation { "order-by-collation" "0A000",
        "ORDER BY, min or max of text whose collation isn't C or POSIX",
        "{0} is text under a collation other than C",
        "How such text sorts is the server's secret, so rows of several shards can't be merged by it.",
        "Add COLLATE \"C\", sort in the client, or filter by one key." }
    FanOutOrderType { "order-by-type" "0A000",
        "ORDER BY, min or max of a type whose order isn't known here",
        "{0} has a type whose order is not known here",
        "Rows of several shards are merged by comparing its values.",
        "Order by a number, date, uuid or boolean, or filter by one key." }
    FanOutOrderVolatile { "order-by-volatile" "0A000",
        "A sort or group key with a value per row (random())",
        "a sort or group key differs at each evaluation",
        "Each key is asked for twice, once to sort by and once to merge by.",
        "Sort in the client." }
    FanOutOrderConstant { "order-by-constant" "0A000",
        "ORDER BY or GROUP BY a constant that is no output's ordinal",
        "ORDER BY or GROUP BY a constant",
        "It names no output column.",
        "Use the ordinal or the name of an output column." }
    FanOutOrderUsing { "order-by-using" "0A000",
        "ORDER BY … USING operator",
        "ORDER BY … USING over several shards",
        "What order the operator makes isn't known here.",
        "Use ASC or DESC." }
    FanOutAmbiguous { "ambiguous-output-name" "0A000",
        "ORDER BY or GROUP BY a name that several outputs have",
        "\"{0}\" names several output columns",
        "Which one is meant can't be told.",
        "Use an ordinal." }
    FanOutSetReturning { "set-returning-key" "0A000",
        "A sort or group key that gives a set of rows",
        "a sort or group key returns a set",
        "Each key is asked for twice, and sets would multiply.",
        "Expand the set in a subquery." }
    FanOutStar { "star-not-known" "0A000",
        "A * whose columns aren't known",
        "the columns of * are not known",
        "A table function, a join's alias or USING hides where they come from.",
        "Name the columns." }
    FanOutSetOrder { "set-operation-order" "0A000",
        "ORDER BY, LIMIT or OFFSET behind a set operation or parentheses over several shards",
        "ORDER BY or LIMIT behind a set operation or parentheses",
        "Rows of several shards are merged by columns that are added to one SELECT's target list.",
        "Leave the parentheses out, or make the set operation a subquery: SELECT * FROM (…) s ORDER BY …." }
    FanOutSuspicious { "operator-precedence" "0A000",
        "Operators whose precedence the planner's parser doesn't share with Postgres, in a join or merge",
        "operators whose precedence is not certain",
        "The planner's parser may read the statement differently from Postgres.",
        "Put parentheses around them." }
    FanOutEncoding { "text-under-another-encoding" "0A000",
        "Text merged under a client_encoding other than the server's",
        "text merged under client_encoding {0}",
        "Shards store text in {1}; in another encoding its bytes sort differently.",
        "SET client_encoding TO {1}." }
    FanOutLimit { "limit-expression" "0A000",
        "LIMIT, OFFSET or FETCH with more than constants, arithmetic of integer constants, or a parameter",
        "{0} with an expression over several shards",
        "How many rows to ask each shard for must be known before.",
        "Use an integer constant or an integer parameter." }
    FanOutTies { "with-ties" "0A000",
        "FETCH FIRST … WITH TIES of a SELECT DISTINCT over several shards",
        "WITH TIES of DISTINCT rows over several shards",
        "The shards' rows are sorted by more than the ORDER BY says, to find equal ones.",
        "Use LIMIT, or group instead of DISTINCT." }
    FanOutNegativeLimit { "negative-limit" "2201W",
        "A negative LIMIT (Postgres's own error)",
        "LIMIT must not be negative",
        "The value is below zero.",
        "Use a number of rows." }
    FanOutNegativeOffset { "negative-offset" "2201X",
        "A negative OFFSET (Postgres's own error)",
        "OFFSET must not be negative",
        "The value is below zero.",
        "Use a number of rows." }
    FanOutFunction { "function-across-shards" "0A000",
        "A built-in function that isn't immutable and isn't known to be alike on every shard",
        "function {0}() over several shards",
        "Its result may differ between shards, or it has an effect on each.",
        "Run it in a statement of its own, or filter by one key." }
    FanOutVolatile { "volatile-across-shards" "0A000",
        "random() and its like outside the target list and WHERE of a plain SELECT",
        "a value per row where rows of several shards are grouped, joined or compared",
        "It would be drawn again on each shard.",
        "Use it in the outermost target list." }
    FanOutMoment { "now-across-shards" "0A000",
        "now() and its like in a sort or group key, in FROM or in a view, 'now' or 'today' as a string, age() of one argument",
        "now() (or its like) over several shards in a place where no constant can stand for it",
        "All shards must see one moment.",
        "Give the moment as a parameter, or write now() for 'now' and CURRENT_DATE for 'today'." }
    LateMoment { "late-moment" "0A000",
        "What reads the transaction's now() where no constant can stand for it (a view, a trigger, a row policy, a CHECK, also of \
        a table that a foreign key changes rows of; a function's body, 'now' as a string, age() of one argument, a default that \
        INSERT … SELECT leaves a column to) on a shard that a transaction touches after another, as all but the first of a \
        statement's shards are",
        "{0} reads the transaction's now() on a shard that the transaction has touched later than another",
        "The moment at which a transaction began is that of the first shard that it touched; each shard has a clock of its own.",
        "Write now() into the statement itself, or give the moment as a parameter; or touch this shard first; a trigger, a policy or a CHECK may read clock_timestamp() instead." }
    FanOutLock { "lock-across-shards" "0A000",
        "FOR UPDATE or FOR SHARE over several shards with LIMIT, in a subquery, or of a table that isn't sharded",
        "row locks over several shards",
        "More rows would be locked than the answer has, or only one copy of a row.",
        "Leave LIMIT out, lock sharded rows alone, or filter by one key." }
}

impl Refusal {
    /// Whether it holds on one shard too, where all else is forwarded: no pin makes a backend's list the session's own, and
    /// a gid of the proxy's own is nobody else's.
    pub fn is_about_backend(&self) -> bool {
        [RefusalId::BackendState, RefusalId::OwnGid]
            .iter()
            .any(|id| self.id == id.kind().id)
    }

    /// Whether the text is not understood at all.
    pub fn is_unparsed(&self) -> bool {
        self.is_of(&[RefusalId::UnparsedNamesTable])
    }

    /// Whether it is one of these.
    pub(in crate::plan) fn is_of(&self, ids: &[RefusalId]) -> bool {
        ids.iter().any(|id| self.id == id.kind().id)
    }
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
