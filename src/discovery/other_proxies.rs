//! What other proxies said of their load: those that are there, and for a while those that are gone.
//!
//! Why the gone are remembered: when a proxy dies its clients come to another one, whose windows know nothing of what
//! was before. Without the dead one's figures a load that has lasted for an hour would look like one that has just
//! begun, and what was proposed for it as if its reason had gone. Holds: a proxy that is gone is counted as silent
//! since its last report, so its load fades from each window as the heir's grows; how many are remembered is bounded.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::telemetry::LoadReport;
use crate::topology::Epoch;

/// By then even the 5 m window has forgotten nearly all of it.
const REMEMBERED: Duration = Duration::from_secs(15 * 60);
/// Proxies that start and die all the time fill no memory.
const GONE_MAX: usize = 8;

/// The other proxies.
#[derive(Clone, Debug, Default)]
pub(super) struct OtherProxies {
    /// by name
    known: BTreeMap<String, Known>,
}

#[derive(Clone, Debug)]
struct Known {
    report: LoadReport,
    /// when its last new report came
    spoke: Instant,
    is_there: bool,
}

impl OtherProxies {
    /// Takes note of who has reported of late; who isn't among them is gone.
    pub(super) fn hear(&mut self, reports: Vec<(String, LoadReport)>, now: Instant) {
        for known in self.known.values_mut() {
            known.is_there = false;
        }
        for (name, report) in reports {
            // A report that isn't renewed stays on home for a while.
            let before = self.known.get(&name).filter(|known| known.report.at == report.at);
            let spoke = before.map_or(now, |known| known.spoke);
            let known = Known {
                report,
                spoke,
                is_there: true,
            };
            self.known.insert(name, known);
        }
        self.known
            .retain(|_, known| known.is_there || known.silent(now) < REMEMBERED);
        let mut gone: Vec<(Duration, String)> = self
            .known
            .iter()
            .filter(|(_, known)| !known.is_there)
            .map(|(name, known)| (known.silent(now), name.clone()))
            .collect();
        gone.sort();
        for (_, name) in gone.into_iter().skip(GONE_MAX) {
            self.known.remove(&name);
        }
    }

    /// How many are there.
    pub(super) fn there(&self) -> usize {
        self.known.values().filter(|known| known.is_there).count()
    }

    /// What all of them say now. Of those that are gone only what was measured under this epoch: nobody brings the rest
    /// up to date.
    pub(super) fn reports(&self, now: Instant, epoch: Epoch) -> Vec<LoadReport> {
        let known = self.known.values();
        known
            .filter_map(|known| match known.is_there {
                true => Some(known.report.clone()),
                false if known.report.epoch == epoch => Some(known.report.after_silence(known.silent(now))),
                false => None,
            })
            .collect()
    }
}

impl Known {
    fn silent(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.spoke)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::telemetry::{Moment, ShardReport, Windows};

    const MINUTE: Duration = Duration::from_secs(60);

    fn report(at: u64) -> LoadReport {
        LoadReport {
            at: Moment(at),
            measured: 10 * MINUTE,
            epoch: Epoch::FIRST,
            shards: vec![ShardReport {
                busy: Windows::from_array([1.0; 4]),
                ..ShardReport::default()
            }],
            keyspaces: Vec::new(),
        }
    }

    fn busy(others: &OtherProxies, now: Instant) -> Vec<f64> {
        let reports = others.reports(now, Epoch::FIRST).into_iter();
        reports.map(|report| report.shards[0].busy.minute).collect()
    }

    #[test]
    fn who_is_gone_fades_since_the_last_report_and_is_forgotten() {
        let start = Clock.now();
        let mut others = OtherProxies::default();
        others.hear(vec![("a".into(), report(1)), ("b".into(), report(1))], start);
        assert_eq!((others.there(), busy(&others, start)), (2, vec![1.0, 1.0]));
        // Its old report is still there after 10 s; then it isn't.
        let said = start + Duration::from_secs(10);
        others.hear(vec![("a".into(), report(2)), ("b".into(), report(1))], said);
        let later = start + MINUTE;
        others.hear(vec![("a".into(), report(3))], later);
        assert_eq!(others.there(), 1);
        let told = busy(&others, later);
        assert_eq!(told[0], 1.0);
        // The correction for what a young window hasn't seen makes it a little less than 1/e.
        assert!((told[1] - 1.0_f64.exp().recip()).abs() < 1e-3, "{told:?}");
        assert_eq!(others.reports(later, Epoch::FIRST)[1].measured, 11 * MINUTE);
        assert_eq!(others.reports(later, Epoch::FIRST.next().unwrap()).len(), 1);
        others.hear(vec![("a".into(), report(4))], start + REMEMBERED);
        assert_eq!(busy(&others, start + REMEMBERED).len(), 1);
        // Back again, as if it had never been away.
        others.hear(vec![("b".into(), report(9))], start + REMEMBERED);
        assert_eq!(others.there(), 1);
    }

    #[test]
    fn of_many_that_come_and_go_few_are_remembered() {
        let start = Clock.now();
        let mut others = OtherProxies::default();
        for turn in 0..100_u32 {
            let name = format!("{turn}");
            others.hear(vec![(name, report(1))], start + Duration::from_secs(1) * turn);
        }
        assert_eq!((others.there(), others.known.len()), (1, GONE_MAX + 1));
        assert!(others.known.contains_key("98"), "the last ones");
    }
}
