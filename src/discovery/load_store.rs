//! Reports of load on home: one row per proxy, renewed every few seconds; and hours of the week, one row each, written when an
//! hour has ended.
//!
//! Why reports are unlogged: one is worth nothing after a crash, and without WAL it costs a server nearly nothing. Hours are
//! logged: they take weeks to learn.
//! Holds: time is home's alone, so clocks of proxies may differ; a row that isn't renewed is neither read nor kept.

use std::time::Duration;

use crate::discovery::cells::Cells;
use crate::discovery::reach::{Reach, literal};
use crate::discovery::{Error, store};
use crate::telemetry::{HourOfWeek, LearntHour, LoadReport, WatchedHour, Week};

/// A report that is this old is not counted: its proxy has missed three.
const FRESH: &str = "interval '12 seconds'";
/// A row that is this old is deleted.
const KEPT: &str = "interval '1 minute'";

const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(3);

/// Leaves this proxy's report and answers those of the others by their names; one that can't be read (of another version)
/// is left out.
pub(super) async fn exchange(
    reach: &Reach,
    proxy: &str,
    report: &LoadReport,
) -> Result<Vec<(String, LoadReport)>, Error> {
    let document = report
        .to_json()
        .map_err(|_| Error::Bug("a load can't be written as JSON"))?;
    let (proxy, document) = (literal(proxy), literal(&document));
    let sql = format!(
        "SET LOCAL synchronous_commit = off; SET LOCAL lock_timeout = '1s'; \
         DELETE FROM shardgate.load WHERE proxy IN (SELECT proxy FROM shardgate.load \
         WHERE written_at < now() - {KEPT} AND proxy <> {proxy} FOR UPDATE SKIP LOCKED); \
         INSERT INTO shardgate.load (proxy, written_at, document) VALUES ({proxy}, now(), {document}) \
         ON CONFLICT (proxy) DO UPDATE SET written_at = excluded.written_at, document = excluded.document; \
         SELECT proxy, document FROM shardgate.load WHERE proxy <> {proxy} AND written_at > now() - {FRESH} ORDER BY proxy"
    );
    let rows = match reach.rows(&sql, EXCHANGE_TIMEOUT).await {
        Err(Error::Server { code, .. }) if store::is_absent(&code) => {
            store::create(reach).await?;
            reach.rows(&sql, EXCHANGE_TIMEOUT).await?
        }
        answered => answered?,
    };
    let mut reports = Vec::new();
    for row in &rows {
        let cells = Cells::new(row, reach.name());
        match LoadReport::from_json(cells.text(1)?) {
            Ok(report) => reports.push((cells.owned(0)?, report)),
            Err(error) => tracing::debug!(%error, "another proxy's load is left out"),
        }
    }
    Ok(reports)
}

/// What home knows of the hours of the week.
pub(super) async fn hours(reach: &Reach) -> Result<Week, Error> {
    let sql = "SELECT hour, document FROM shardgate.load_hour";
    let rows = match reach.rows(sql, EXCHANGE_TIMEOUT).await {
        Err(Error::Server { code, .. }) if store::is_absent(&code) => {
            store::create(reach).await?;
            reach.rows(sql, EXCHANGE_TIMEOUT).await?
        }
        answered => answered?,
    };
    let mut week = Week::default();
    for row in &rows {
        let cells = Cells::new(row, reach.name());
        let hour = cells.text(0)?.parse().ok().and_then(HourOfWeek::new);
        match (hour, LearntHour::from_json(cells.text(1)?)) {
            (Some(hour), Ok(learnt)) => week.insert(hour, learnt),
            (None, _) | (_, Err(_)) => tracing::debug!("an hour of load of another version is left out"),
        }
    }
    Ok(week)
}

/// Learns hours that have ended, unless another proxy has; then what home knows of all.
pub(super) async fn learn(reach: &Reach, ended: &[WatchedHour]) -> Result<Week, Error> {
    let mut week = hours(reach).await?;
    for seen in ended {
        let Some(learnt) = week.learnt(seen) else { continue };
        let document = learnt
            .to_json()
            .map_err(|_| Error::Bug("an hour of load can't be written as JSON"))?;
        let sql = format!(
            "SET LOCAL lock_timeout = '1s'; INSERT INTO shardgate.load_hour AS known (hour, week, document) \
             VALUES ({}, {}, {}) ON CONFLICT (hour) DO UPDATE SET week = excluded.week, document = excluded.document \
             WHERE known.week < excluded.week",
            seen.hour.index(),
            seen.week,
            literal(&document)
        );
        reach.batch(&sql, EXCHANGE_TIMEOUT).await?;
        week.insert(seen.hour, learnt);
    }
    Ok(week)
}
