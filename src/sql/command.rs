//! What a statement asks of the session, as its leading tokens say. Pure data; `recognise` makes it.
//!
//! Holds: names are as Postgres keeps them (folded, decoded, truncated to 63 bytes); spans point into the text that was read.

use super::lexing::Span;

/// One statement, by its leading tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// no token but white space and comments
    Empty,
    /// `BEGIN`, `START TRANSACTION`
    Begin(Begin),
    /// `COMMIT`, `END`
    Commit(Chain),
    /// `ROLLBACK`, `ABORT`
    Rollback(Chain),
    /// `SAVEPOINT`, `RELEASE`, `ROLLBACK TO`
    Savepoint(Savepoint),
    /// `PREPARE TRANSACTION 'gid'`
    PrepareTransaction(String),
    /// `COMMIT PREPARED 'gid'`
    CommitPrepared(String),
    /// `ROLLBACK PREPARED 'gid'`
    RollbackPrepared(String),
    /// `SET …` of one setting, and `set_config(…)` is not this but `SetConfig`
    Set(Set),
    /// `SET TRANSACTION …`
    SetTransaction(SetTransaction),
    /// `SET SESSION CHARACTERISTICS AS TRANSACTION …`
    SetCharacteristics(Characteristics),
    /// `SET CONSTRAINTS …`
    SetConstraints,
    /// `SELECT set_config(constant or parameter, …), …`: calls of set_config and nothing else, in order
    SetConfig(Vec<SetConfig>),
    /// `RESET …`
    Reset(Reset),
    /// `SHOW …`
    Show(Show),
    /// `DISCARD …`
    Discard(Discard),
    /// `PREPARE name AS …`
    Prepare(Prepare),
    /// `EXECUTE name (…)`
    Execute(Execute),
    /// `DEALLOCATE …`
    Deallocate(DeallocateTarget),
    /// `DECLARE name CURSOR FOR …`
    Declare(Declare),
    /// `FETCH`, `MOVE`
    Fetch(Fetch),
    /// `CLOSE`
    Close(Cursor),
    /// `LISTEN channel`
    Listen(String),
    /// `UNLISTEN channel`; `None` is `*`
    Unlisten(Option<String>),
    /// `NOTIFY channel, …`
    Notify(String),
    /// `LOCK TABLE …`
    Lock,
    /// `COPY …`
    Copy(Copy),
    /// `EXPLAIN …`
    Explain(Explain),
    /// `CALL …`
    Call,
    /// `DO …`
    Do,
    /// `LOAD 'library'`
    Load,
    /// `TRUNCATE …`
    Truncate,
    /// `VACUUM`, `ANALYZE`, `CLUSTER`, `REINDEX`, `CHECKPOINT`, `REFRESH MATERIALIZED VIEW`
    Maintenance(Maintenance),
    /// `CREATE`, `ALTER`, `DROP`, `GRANT`, …
    Ddl(Ddl),
    /// `SELECT`, `VALUES`, `TABLE`, or `WITH` whose main statement is one: may still write (INTO, data-changing CTE,
    /// functions); what it does is the planner's question
    Query,
    /// `INSERT`, also behind `WITH`
    Insert,
    /// `UPDATE`, also behind `WITH`
    Update,
    /// `DELETE`, also behind `WITH`
    Delete,
    /// `MERGE`, also behind `WITH`
    Merge,
    /// anything not understood to its end
    Unknown(Unknown),
}

/// A first word, in upper case as in the command tag: `CREATE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word(pub String);

/// What is not understood, and why. Never a guess: a control statement with a tail that we don't know comes here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// first word, upper case; empty if the text begins with something else
    pub word: Word,
    /// why, for a DETAIL
    pub reason: &'static str,
    /// the token at which understanding ended
    pub at: Span,
}

/// `BEGIN` or `START TRANSACTION` with its characteristics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begin {
    /// which words (the command tags differ)
    pub word: BeginWord,
    /// as given
    pub characteristics: Characteristics,
}

/// Which words began the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeginWord {
    /// tag `BEGIN`
    Begin,
    /// tag `START TRANSACTION`
    StartTransaction,
}

/// Isolation levels of Postgres.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isolation {
    /// `read uncommitted`
    ReadUncommitted,
    /// `read committed`
    ReadCommitted,
    /// `repeatable read`
    RepeatableRead,
    /// `serializable`
    Serializable,
}

impl Isolation {
    /// As `SHOW transaction_isolation` prints it, and as SET takes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Isolation::ReadUncommitted => "read uncommitted",
            Isolation::ReadCommitted => "read committed",
            Isolation::RepeatableRead => "repeatable read",
            Isolation::Serializable => "serializable",
        }
    }
}

/// Transaction characteristics that were given; `None` is "not said". Of a repeated one the last counts, as in Postgres.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Characteristics {
    /// `ISOLATION LEVEL …`
    pub isolation: Option<Isolation>,
    /// `READ ONLY` is true, `READ WRITE` false
    pub read_only: Option<bool>,
    /// `DEFERRABLE` is true, `NOT DEFERRABLE` false
    pub deferrable: Option<bool>,
}

/// Whether COMMIT or ROLLBACK starts the next transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain {
    /// `AND CHAIN`
    Yes,
    /// plain, or `AND NO CHAIN`
    No,
}

/// Savepoint statements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Savepoint {
    /// `SAVEPOINT name`
    Define(String),
    /// `RELEASE [SAVEPOINT] name`
    Release(String),
    /// `ROLLBACK [WORK|TRANSACTION] TO [SAVEPOINT] name`
    RollbackTo(String),
}

/// How long a SET lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `SET`, `SET SESSION`
    Session,
    /// `SET LOCAL`
    Local,
}

/// `SET` of one setting, all special spellings resolved: TIME ZONE is `timezone`, NAMES `client_encoding`, SCHEMA
/// `search_path`, ROLE `role`, SESSION AUTHORIZATION `session_authorization`, XML OPTION `xmloption`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// how long
    pub scope: Scope,
    /// folded name, `a.b` for a two-part one
    pub name: String,
    /// what to
    pub value: SetValue,
}

/// The right side of a SET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetValue {
    /// one value or a list
    Values(Vec<SetItem>),
    /// `DEFAULT` (also TIME ZONE LOCAL)
    Default,
    /// `FROM CURRENT`
    FromCurrent,
}

/// One value of a SET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetItem {
    /// a string constant or a word, decoded
    Text(String),
    /// a number with its sign, as written
    Number(String),
    /// `INTERVAL '-08:00' HOUR TO MINUTE`, of TIME ZONE only: the interval's text
    Interval(String),
}

/// `SET TRANSACTION …`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetTransaction {
    /// characteristics
    Characteristics(Characteristics),
    /// `SNAPSHOT 'id'`
    Snapshot(String),
}

/// A call of `set_config` that stands alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetConfig {
    /// setting
    pub name: ConstantOrParameter,
    /// value; NULL means the default
    pub value: ConstantOrParameter,
    /// third argument: `is_local`, as text of a boolean
    pub is_local: ConstantOrParameter,
}

/// An argument that is known now, or at Bind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConstantOrParameter {
    /// its text
    Constant(String),
    /// NULL
    Null,
    /// `$n`
    Parameter(u32),
}

/// What RESET resets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reset {
    /// everything
    All,
    /// one, named as in [`Set`]
    Name(String),
    /// `transaction isolation level`: a name of its own in Postgres too
    TransactionIsolation,
}

/// What SHOW shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Show {
    /// everything
    All,
    /// one, named as in [`Set`]; TRANSACTION ISOLATION LEVEL is `transaction_isolation`
    Name(String),
}

/// What DISCARD discards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discard {
    /// everything
    All,
    /// cached plans
    Plans,
    /// cached sequence state
    Sequences,
    /// temporary tables
    Temp,
}

/// `PREPARE name [(types)] AS body`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepare {
    /// folded
    pub name: String,
    /// where the name stands, to be edited
    pub name_span: Span,
    /// the type list between the parentheses, one span each
    pub types: Vec<Span>,
    /// the statement behind AS
    pub body: Span,
}

/// `EXECUTE name [(arguments)]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execute {
    /// folded
    pub name: String,
    /// where the name stands, to be edited
    pub name_span: Span,
    /// the arguments, one span each
    pub arguments: Vec<Span>,
}

/// What DEALLOCATE forgets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeallocateTarget {
    /// all
    All,
    /// one
    Name {
        /// folded
        name: String,
        /// where it stands
        span: Span,
    },
}

/// `DECLARE name … CURSOR … FOR body`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declare {
    /// folded
    pub name: String,
    /// beyond the transaction?
    pub hold: CursorHold,
    /// what else it can do
    pub form: CursorForm,
    /// the query
    pub body: Span,
}

/// What a cursor is asked to do besides reading on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CursorForm {
    /// nothing: rows as text, forward (without SCROLL a plan may go backward or not)
    Plain,
    /// SCROLL or BINARY
    Other,
}

/// Whether a cursor outlives its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CursorHold {
    /// `WITH HOLD`
    With,
    /// the default
    Without,
}

/// A cursor, or all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// by name
    Name {
        /// folded
        name: String,
        /// where it stands
        span: Span,
    },
    /// `ALL`
    All,
}

/// `FETCH …` or `MOVE …`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// which
    pub word: FetchWord,
    /// how far
    pub motion: Motion,
    /// folded name of the cursor
    pub name: String,
    /// where the name stands
    pub name_span: Span,
}

/// How far a cursor goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motion {
    /// this many rows forward, at least one
    Forward(u64),
    /// to the end
    All,
    /// anything else: backward, to a place, nowhere
    Other,
}

/// FETCH or MOVE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchWord {
    /// gives rows
    Fetch,
    /// gives a count
    Move,
}

/// `COPY …`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// what
    pub subject: CopySubject,
    /// in or out
    pub direction: CopyDirection,
    /// the other end
    pub end: CopyEnd,
    /// its options; `None`: there is one that isn't known here
    pub options: Option<Box<CopyOptions>>,
    /// the condition behind WHERE, if there is one
    pub filter: Option<Span>,
}

/// Options of a COPY as they are written; what Postgres would refuse of them isn't refused here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyOptions {
    /// FORMAT, BINARY, CSV
    pub format: Option<String>,
    /// DELIMITER
    pub delimiter: Option<String>,
    /// NULL
    pub null: Option<String>,
    /// HEADER
    pub header: Option<String>,
    /// QUOTE
    pub quote: Option<String>,
    /// ESCAPE
    pub escape: Option<String>,
    /// FORCE_NOT_NULL: columns, folded
    pub force_not_null: Option<Vec<String>>,
    /// FORCE_NULL: columns, folded
    pub force_null: Option<Vec<String>>,
    /// ENCODING
    pub encoding: Option<String>,
    /// FREEZE
    pub freeze: Option<String>,
}

/// What is copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopySubject {
    /// a table
    Table {
        /// schema, folded
        schema: Option<String>,
        /// name, folded
        name: String,
        /// columns, folded; empty: not given
        columns: Vec<String>,
    },
    /// `(query)`: the text between the parentheses
    Query(Span),
}

/// FROM or TO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyDirection {
    /// into the table
    From,
    /// out of it
    To,
}

/// The other end of a COPY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyEnd {
    /// STDIN or STDOUT: the client
    Client,
    /// a file of the server
    File,
    /// a program of the server
    Program,
}

/// `EXPLAIN …`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explain {
    /// whose plan
    pub kind: ExplainKind,
    /// what its answer is
    pub format: ExplainFormat,
    /// the statement explained
    pub body: Span,
}

/// What EXPLAIN answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExplainFormat {
    /// lines
    Text,
    /// one document
    Json,
    /// one document
    Xml,
    /// one document
    Yaml,
}

/// Whose plan is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExplainKind {
    /// `EXPLAIN (ROUTE)`: ours, nothing runs
    Route,
    /// Postgres's, nothing runs
    Plain,
    /// Postgres's, and it runs
    Analyze,
}

/// VACUUM and its kin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maintenance {
    /// VACUUM
    Vacuum,
    /// ANALYZE, ANALYSE
    Analyze,
    /// CLUSTER
    Cluster,
    /// REINDEX
    Reindex,
    /// CHECKPOINT
    Checkpoint,
    /// REFRESH MATERIALIZED VIEW
    Refresh,
}

/// A statement that changes objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ddl {
    /// CREATE, ALTER, DROP, GRANT, REVOKE, COMMENT, SECURITY, IMPORT, REASSIGN
    pub word: Word,
    /// the object's kind: the next word or words, upper case: `TABLE`, `UNIQUE INDEX`; may be empty
    pub object: String,
    /// whether CREATE says TEMP or TEMPORARY
    pub temporary: Temporary,
}

/// Lifetime of a created object, as far as the text says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temporary {
    /// TEMP, TEMPORARY, or a name in pg_temp
    Yes,
    /// not said
    No,
}
