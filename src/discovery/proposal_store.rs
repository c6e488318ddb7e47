//! Proposals and findings on home: every proxy and every restart knows them.
//!
//! Why home's clock decides: an expiry is written as a span and becomes a time there, so clocks of proxies may differ.
//! Holds: of one identity at most one proposal is open; what ends keeps its row for a month; findings are of the last
//! judgement alone and worth nothing after a crash.

use std::time::Duration;

use crate::discovery::cells::Cells;
use crate::discovery::reach::{Reach, Row, literal};
use crate::discovery::{Error, store};
use crate::rebalance::{Finding, Judgement, Proposal};

/// Small statements on small tables.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long ended proposals are kept.
const KEPT: &str = "interval '30 days'";
/// How long ended proposals are shown.
const SHOWN: &str = "interval '1 day'";
/// Findings that nobody has renewed for so long are of a proposer that is gone.
const FRESH: &str = "interval '30 seconds'";
/// Proposals that are shown at most, open ones first.
const SHOWN_MAX: usize = 200;

/// The advisory lock of the proxy that proposes: session-level, so it goes with its connection. The first number is that
/// of everything of ours.
const LOCK: &str = "SELECT CASE WHEN EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 1936159079 \
    AND objid = 2 AND objsubid = 2 AND granted AND pid = pg_backend_pid()) THEN true \
    ELSE pg_try_advisory_lock(1936159079, 2) END";

/// Three rounds of silence end a session of whoever proposes: one that hangs, or whose machine is gone without a word, would
/// hold the lock for hours. Nothing happens on a server that is too old to have the setting.
const IDLE_TIMEOUT: &str = "SELECT set_config('idle_session_timeout', '15s', false) \
    WHERE current_setting('idle_session_timeout', true) IS NOT NULL";

const OPEN: &str = "SELECT document FROM shardgate.proposal WHERE state = 'open' AND expires_at > now() ORDER BY id";

/// The tables, for the store's creation. No sequence gives the ids: clients that list sequences would see it.
pub(super) const TABLES: &str = "CREATE TABLE IF NOT EXISTS shardgate.proposal (id bigint PRIMARY KEY, \
    identity text COLLATE \"C\" NOT NULL, shard text COLLATE \"C\" NOT NULL, state text NOT NULL \
    CHECK (state IN ('open', 'expired', 'cleared', 'superseded')), created_at timestamptz NOT NULL DEFAULT now(), \
    renewed_at timestamptz NOT NULL DEFAULT now(), expires_at timestamptz NOT NULL, ended_at timestamptz, \
    document text NOT NULL); \
    CREATE UNIQUE INDEX IF NOT EXISTS proposal_open ON shardgate.proposal (identity) WHERE state = 'open'; \
    CREATE UNLOGGED TABLE IF NOT EXISTS shardgate.finding (id bool PRIMARY KEY DEFAULT true CHECK (id), \
    written_at timestamptz NOT NULL, document text NOT NULL)";

/// A proposal as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredProposal {
    /// names it for an operator
    pub id: u64,
    /// `open`, `expired`, `cleared` (the overload is over) or `superseded` (by a better one)
    pub state: String,
    /// by home's clock, as text
    pub created_at: String,
    /// by home's clock, as text
    pub expires_at: String,
    /// what it says
    pub proposal: Proposal,
}

/// Proposals and findings of the whole cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Proposals {
    /// open ones first, the latest first
    pub stored: Vec<StoredProposal>,
    /// of the last judgement
    pub findings: Vec<Finding>,
}

/// Makes this connection's proxy the one that proposes, unless another is; then the open proposals.
pub(super) async fn lead(reach: &Reach) -> Result<Option<Vec<Proposal>>, Error> {
    let mut tables = with_tables(reach, &format!("{IDLE_TIMEOUT}; {LOCK}; {OPEN}")).await?;
    let documents = tables.pop().unwrap_or_default();
    let leads = tables.pop().unwrap_or_default();
    if !leads.first().is_some_and(|row| Cells::new(row, reach.name()).is(0)) {
        return Ok(None);
    }
    read_all(reach, &documents).map(Some)
}

/// The open proposals.
pub(super) async fn open(reach: &Reach) -> Result<Vec<Proposal>, Error> {
    let mut tables = with_tables(reach, OPEN).await?;
    read_all(reach, &tables.pop().unwrap_or_default())
}

fn read_all(reach: &Reach, documents: &[Row]) -> Result<Vec<Proposal>, Error> {
    let mut proposals = Vec::new();
    for row in documents {
        match Proposal::from_json(Cells::new(row, reach.name()).text(0)?) {
            Ok(proposal) => proposals.push(proposal),
            Err(error) => tracing::debug!(%error, "a proposal of another version is left alone"),
        }
    }
    Ok(proposals)
}

/// What becomes of proposals that a judgement doesn't renew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Others {
    /// they end if their shard isn't overloaded any more
    End,
    /// they stay until they expire: too little has been seen to say more
    Stay,
}

/// Stores a judgement: new proposals, renewed ones, ended ones, findings. One transaction.
pub(super) async fn keep(
    reach: &Reach,
    judgement: &Judgement,
    overloaded: &[String],
    others: Others,
) -> Result<(), Error> {
    let end = |state: &str, which: &str| {
        format!("UPDATE shardgate.proposal SET state = '{state}', ended_at = now() WHERE state = 'open' AND {which}; ")
    };
    // One writer at a time: the next id is one above the highest, and the row that has that is kept.
    let mut sql =
        "SET LOCAL lock_timeout = '1s'; LOCK TABLE shardgate.proposal IN SHARE ROW EXCLUSIVE MODE; ".to_owned();
    sql.push_str(&end("expired", "expires_at <= now()"));
    if others == Others::End {
        let shards: Vec<String> = overloaded.iter().map(|shard| literal(shard)).collect();
        let which = if shards.is_empty() {
            "true".to_owned()
        } else {
            format!("shard NOT IN ({})", shards.join(", "))
        };
        sql.push_str(&end("cleared", &which));
    }
    for proposal in &judgement.proposals {
        let (identity, shard) = (literal(&proposal.identity), literal(&proposal.from));
        sql.push_str(&end(
            "superseded",
            &format!("shard = {shard} AND identity <> {identity}"),
        ));
        sql.push_str(&upsert(proposal)?);
    }
    sql.push_str(&format!(
        "DELETE FROM shardgate.proposal WHERE state <> 'open' AND ended_at < now() - {KEPT} \
         AND id < (SELECT max(id) FROM shardgate.proposal); "
    ));
    let findings =
        serde_json::to_string(&judgement.findings).map_err(|_| Error::Bug("findings can't be written as JSON"))?;
    sql.push_str(&format!(
        "INSERT INTO shardgate.finding (written_at, document) VALUES (now(), {findings}) \
         ON CONFLICT (id) DO UPDATE SET written_at = excluded.written_at, document = excluded.document",
        findings = literal(&findings)
    ));
    with_tables(reach, &sql).await.map(|_| ())
}

fn upsert(proposal: &Proposal) -> Result<String, Error> {
    let document = proposal
        .to_json()
        .map_err(|_| Error::Bug("a proposal can't be written as JSON"))?;
    // As a span of its own making, by home's clock.
    let lasts = proposal
        .expires_ms
        .saturating_sub(proposal.created_ms.max(proposal.judged_ms));
    Ok(format!(
        "INSERT INTO shardgate.proposal (id, identity, shard, state, expires_at, document) \
         VALUES ((SELECT coalesce(max(id), 0) + 1 FROM shardgate.proposal), {}, {}, 'open', \
         now() + {lasts} * interval '1 millisecond', {}) \
         ON CONFLICT (identity) WHERE state = 'open' DO UPDATE SET renewed_at = now(), \
         expires_at = excluded.expires_at, document = excluded.document; ",
        literal(&proposal.identity),
        literal(&proposal.from),
        literal(&document)
    ))
}

/// Proposals, open or ended of late, and the findings of whoever proposes.
pub(super) async fn read(reach: &Reach) -> Result<Proposals, Error> {
    let sql = format!(
        "SELECT document FROM shardgate.finding WHERE written_at > now() - {FRESH}; \
         SELECT id, CASE WHEN state = 'open' AND expires_at <= now() THEN 'expired' ELSE state END, \
         date_trunc('second', created_at)::text, date_trunc('second', expires_at)::text, document \
         FROM shardgate.proposal WHERE state = 'open' OR ended_at > now() - {SHOWN} \
         ORDER BY state <> 'open', id DESC LIMIT {SHOWN_MAX}"
    );
    let mut tables = with_tables(reach, &sql).await?;
    let rows = tables.pop().unwrap_or_default();
    let findings = tables.pop().unwrap_or_default();
    let mut proposals = Proposals::default();
    if let Some(row) = findings.first() {
        let document = Cells::new(row, reach.name()).text(0)?;
        // Of another version: it will write its own.
        proposals.findings = serde_json::from_str(document).unwrap_or_default();
    }
    for row in &rows {
        let cells = Cells::new(row, reach.name());
        let Ok(proposal) = Proposal::from_json(cells.text(4)?) else {
            tracing::debug!("a proposal of another version isn't shown");
            continue;
        };
        let id = cells.owned(0)?.parse();
        proposals.stored.push(StoredProposal {
            id: id.map_err(|_| Error::Bug("a proposal's id is no number"))?,
            state: cells.owned(1)?,
            created_at: cells.owned(2)?,
            expires_at: cells.owned(3)?,
            proposal,
        });
    }
    Ok(proposals)
}

/// Runs a batch; makes the tables where an older version has left them out.
async fn with_tables(reach: &Reach, sql: &str) -> Result<Vec<Vec<Row>>, Error> {
    match reach.batch(sql, TIMEOUT).await {
        Err(Error::Server { code, .. }) if store::is_absent(&code) => {
            store::create(reach).await?;
            reach.batch(sql, TIMEOUT).await
        }
        answered => answered,
    }
}
