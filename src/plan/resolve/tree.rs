//! The resolved statement: queries, blocks, FROM items and conjuncts, each name bound as Postgres would bind it.
//!
//! Why: every rule of the ladder asks the same things of a statement (which tables, at which level, on which side of
//! which join, filtered by what), so they are answered once, in one place.
//!
//! Words: a *query* is an `ast::Query` (WITH, body, ORDER BY, LIMIT); a *block* is one level that reads tables (a SELECT,
//! a VALUES list, an INSERT, UPDATE, DELETE or MERGE); an *item* is one entry of a block's FROM; a *reference* is one
//! mention of a base table, wherever it stands, views looked through.
//!
//! Holds: ids index the vectors of one [`Resolved`]; a parent stands before its children, except that a CTE's query stands
//! where its WITH stands. Nothing here is guessed: what could not be bound says so (`Unknown`, `Opaque`).

use crate::catalog::Relation;
use crate::sql::ast;
use crate::topology::{KeyspaceId, ShardId};

/// Index of a query in [`Resolved::queries`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::plan) struct QueryId(pub(in crate::plan) usize);

/// Index of a block in [`Resolved::blocks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::plan) struct BlockId(pub(in crate::plan) usize);

/// Index of a base table's mention in [`Resolved::references`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::plan) struct ReferenceId(pub(in crate::plan) usize);

/// Items of one block, by index. A block with more than [`ItemSet::MAX`] items is not analysed for keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::plan) struct ItemSet(u64);

/// A whole statement with its names bound.
#[derive(Debug)]
pub(in crate::plan) struct Resolved<'a> {
    /// what was resolved, and under which picture
    pub(in crate::plan) input: &'a super::Input<'a>,
    /// where the statement begins
    pub(in crate::plan) root: Root,
    /// all queries, views' included
    pub(in crate::plan) queries: Vec<QueryNode<'a>>,
    /// all blocks
    pub(in crate::plan) blocks: Vec<Block<'a>>,
    /// all mentions of base tables
    pub(in crate::plan) references: Vec<Reference<'a>>,
    /// what else occurs anywhere in it
    pub(in crate::plan) uses: super::Uses<'a>,
}

/// What kind of statement it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) enum Root {
    /// SELECT, VALUES, TABLE, WITH …, also when its body or a CTE modifies data
    Query(QueryId),
    /// INSERT, UPDATE, DELETE or MERGE without a WITH in front
    Modify(BlockId),
}

/// One `ast::Query`.
#[derive(Debug)]
pub(in crate::plan) struct QueryNode<'a> {
    /// its syntax
    pub(in crate::plan) query: &'a ast::Query,
    /// what stands between WITH and ORDER BY
    pub(in crate::plan) body: Body,
    /// the level outside whose columns it may name
    pub(in crate::plan) outer: Option<Scope>,
    /// how many FROM items read it (1 for all but CTEs)
    pub(in crate::plan) readers: usize,
    /// no if it has LIMIT, OFFSET, FETCH or locks of its own
    pub(in crate::plan) filters: Filters,
}

/// A query's body.
#[derive(Clone, Debug)]
pub(in crate::plan) enum Body {
    /// one level
    Block(BlockId),
    /// a query in parentheses
    Query(QueryId),
    /// UNION, INTERSECT, EXCEPT
    Set {
        /// first arm
        left: Box<Body>,
        /// second arm
        right: Box<Body>,
    },
    /// not built yet: seen only by a recursive CTE that reads itself
    Pending,
}

/// Whose text a query is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) enum Origin {
    /// the client's statement: spans are offsets into it
    Statement,
    /// a view's definition: spans mean nothing to the client's text
    View,
}

/// Where a query stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) enum Place {
    /// the statement itself
    Top,
    /// a CTE
    Cte,
    /// a subquery or view in FROM
    From,
    /// a subquery in an expression
    Expression,
    /// an arm of a set operation or a query in parentheses
    Arm,
    /// the source of an INSERT
    InsertSource,
}

/// One level of a statement.
#[derive(Debug)]
pub(in crate::plan) struct Block<'a> {
    /// its syntax
    pub(in crate::plan) kind: BlockKind<'a>,
    /// the query that it is directly the body of, and whose ORDER BY and LIMIT apply to it
    pub(in crate::plan) query: Option<QueryId>,
    /// the level outside whose columns are visible here, and which of its items are
    pub(in crate::plan) outer: Option<Scope>,
    /// FROM in order of writing (the target of UPDATE, DELETE and MERGE first; INSERT has its target as item 0)
    pub(in crate::plan) items: Vec<Item>,
    /// columns merged by USING and NATURAL, outermost join last
    pub(in crate::plan) merged: Vec<Merged>,
    /// WHERE and ON, split at AND
    pub(in crate::plan) conjuncts: Vec<Conjunct<'a>>,
    /// whose text it is written in
    pub(in crate::plan) origin: Origin,
    /// columns that it yields
    pub(in crate::plan) outputs: Outputs,
    /// may a filter on its outputs be applied to its rows instead
    pub(in crate::plan) filters: Filters,
    /// for INSERT: what is inserted; `None`: DEFAULT VALUES
    pub(in crate::plan) source: Option<QueryId>,
}

/// Syntax of a block.
#[derive(Clone, Copy, Debug)]
pub(in crate::plan) enum BlockKind<'a> {
    /// SELECT
    Select(&'a ast::Select),
    /// VALUES
    Values(&'a ast::Values),
    /// `TABLE t`
    Table,
    /// INSERT
    Insert(&'a ast::Insert),
    /// UPDATE
    Update(&'a ast::Update),
    /// DELETE
    Delete,
    /// MERGE
    Merge(&'a ast::Merge),
}

/// A level and those of its items that a name may mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) struct Scope {
    /// the level
    pub(in crate::plan) block: BlockId,
    /// which of its items
    pub(in crate::plan) items: ItemSet,
}

/// May a filter on the outputs of a block be moved into it?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) enum Filters {
    /// plain select, project, join: yes
    Commute,
    /// LIMIT, aggregates, windows, DISTINCT ON, set-returning functions, locks, several readers: no
    Stay,
}

/// What a block yields.
#[derive(Clone, Debug)]
pub(in crate::plan) enum Outputs {
    /// each column in order
    Known(Vec<Output>),
    /// a `*` over something unknown
    Unknown,
}

/// One column that a block yields.
#[derive(Clone, Debug)]
pub(in crate::plan) struct Output {
    /// its name, if it has one that can be used outside
    pub(in crate::plan) name: Option<String>,
    /// set if it is nothing but a column of this block
    pub(in crate::plan) column: Option<ColumnRef>,
}

/// A column of an item of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::plan) struct ColumnRef {
    /// the level
    pub(in crate::plan) block: BlockId,
    /// index in [`Block::items`]
    pub(in crate::plan) item: usize,
    /// index in the item's columns
    pub(in crate::plan) column: usize,
}

/// A column of a base table's mention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::plan) struct BaseColumn {
    /// whose
    pub(in crate::plan) reference: ReferenceId,
    /// index in `Relation::columns`
    pub(in crate::plan) column: usize,
}

/// One entry of FROM.
#[derive(Debug)]
pub(in crate::plan) struct Item {
    /// what it reads
    pub(in crate::plan) source: Source,
    /// the name that qualifies its columns (alias, else the relation's own); `None`: hidden by a join's alias
    pub(in crate::plan) alias: Option<String>,
    /// the schema that may stand before the name (no alias given)
    pub(in crate::plan) schema: Option<String>,
    /// column names in order as seen in this block (column aliases applied); `None`: unknown
    pub(in crate::plan) columns: Option<Vec<String>>,
    /// does it stand on the nullable side of an outer join of this block
    pub(in crate::plan) side: Side,
}

/// Side of the outer joins of its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) enum Side {
    /// on no nullable side
    Preserved,
    /// on the nullable side of at least one
    Nullable,
}

/// What a FROM item reads.
#[derive(Clone, Copy, Debug)]
pub(in crate::plan) enum Source {
    /// a base table
    Relation(ReferenceId),
    /// a view, looked through
    View {
        /// its definition
        query: QueryId,
    },
    /// a subquery
    Subquery {
        /// it
        query: QueryId,
        /// may it see the items before it
        lateral: Lateral,
    },
    /// a CTE
    Cte {
        /// its query
        query: QueryId,
    },
    /// `excluded` of ON CONFLICT: the row proposed for the target
    Excluded,
    /// a function, unnest, generate_series, XMLTABLE, …: no table (functions that read tables are in `uses`)
    Function,
}

/// LATERAL or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) enum Lateral {
    /// sees the items before it
    Yes,
    /// doesn't
    No,
}

/// One mention of a base table.
#[derive(Clone, Debug)]
pub(in crate::plan) struct Reference<'a> {
    /// the table; `None` for one of pg_catalog or information_schema
    pub(in crate::plan) relation: Option<&'a Relation>,
    /// its name for people
    pub(in crate::plan) name: String,
    /// where its rows lie
    pub(in crate::plan) placement: Placement,
    /// the level that reads it
    pub(in crate::plan) block: BlockId,
    /// read or written
    pub(in crate::plan) role: Role,
}

/// Where a mentioned table's rows lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) enum Placement {
    /// spread over a keyspace
    Sharded {
        /// whose buckets decide
        keyspace: KeyspaceId,
        /// index of the key in `Relation::columns`
        key: usize,
    },
    /// in full on every shard
    Reference,
    /// on one shard
    Unsharded(ShardId),
    /// pg_catalog, information_schema, sequences read as tables: home's is meant
    System,
    /// a temporary table of this session, on its pinned backend (home)
    Temporary,
    /// exists on no shard: Postgres itself will say so
    Missing,
}

/// What a statement does with a mentioned table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) enum Role {
    /// reads
    Read,
    /// target of INSERT
    Insert,
    /// target of UPDATE
    Update,
    /// target of DELETE
    Delete,
    /// target of MERGE
    Merge,
}

/// A column merged by USING or NATURAL.
#[derive(Clone, Debug)]
pub(in crate::plan) struct Merged {
    /// its name
    pub(in crate::plan) name: String,
    /// the items that the name covers
    pub(in crate::plan) items: ItemSet,
    /// the column whose value it has; `None` for FULL JOIN, or if a side is unknown
    pub(in crate::plan) column: Option<ColumnRef>,
}

/// One conjunct of WHERE or ON, or an equality that USING or NATURAL implies.
#[derive(Clone, Debug)]
pub(in crate::plan) struct Conjunct<'a> {
    /// what it says
    pub(in crate::plan) test: ConjunctTest<'a>,
    /// where it stands
    pub(in crate::plan) site: Site,
    /// items that its names may mean
    pub(in crate::plan) visible: ItemSet,
    /// items whose rows matter only where it holds (those that it prunes): never one on a nullable side inside its join
    pub(in crate::plan) prunes: ItemSet,
    /// items whose columns may bound another's in it: `prunes`, and for an outer join's ON the preserved side too
    pub(in crate::plan) bounds: ItemSet,
}

/// What a conjunct says.
#[derive(Clone, Copy, Debug)]
pub(in crate::plan) enum ConjunctTest<'a> {
    /// an expression
    Expression(&'a ast::Expr),
    /// `left = right` by USING or NATURAL
    Equal(ColumnRef, ColumnRef),
}

/// Where a conjunct stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) enum Site {
    /// WHERE, or ON of joins that are inner all the way up
    Filter,
    /// ON of an inner join that is itself under an outer join's nullable side
    InnerUnderOuter,
    /// ON of an outer join
    OuterOn,
}

// === impl ItemSet ===

impl ItemSet {
    /// The most items that a set can tell apart.
    pub(in crate::plan) const MAX: usize = 64;

    /// No item.
    pub(in crate::plan) fn empty() -> ItemSet {
        ItemSet(0)
    }

    /// Items `from..to`; those beyond [`ItemSet::MAX`] are left out.
    pub(in crate::plan) fn range(from: usize, to: usize) -> ItemSet {
        (from..to).fold(ItemSet::empty(), ItemSet::with)
    }

    /// This set and one more.
    pub(in crate::plan) fn with(self, item: usize) -> ItemSet {
        match u32::try_from(item).ok().and_then(|shift| 1u64.checked_shl(shift)) {
            Some(bit) => ItemSet(self.0 | bit),
            None => self,
        }
    }

    /// Is the item in it?
    pub(in crate::plan) fn contains(self, item: usize) -> bool {
        u32::try_from(item)
            .ok()
            .and_then(|shift| 1u64.checked_shl(shift))
            .is_some_and(|bit| self.0 & bit != 0)
    }

    /// Both.
    pub(in crate::plan) fn union(self, other: ItemSet) -> ItemSet {
        ItemSet(self.0 | other.0)
    }

    /// Those of this that the other lacks.
    pub(in crate::plan) fn without(self, other: ItemSet) -> ItemSet {
        ItemSet(self.0 & !other.0)
    }
}
