//! The configuration that the demo writes for the proxy: `shard-config/demo.yaml` for the servers that were started.

use std::fmt::Write as _;

/// The role that owns schema `shardgate` on the shards.
pub(super) const CONTROL_ROLE: &str = "shardgate";
/// The role of the application.
pub(super) const APP_ROLE: &str = "app";
/// The database, on the shards and for clients.
pub(super) const DATABASE: &str = "trading";

/// Bounds of the busy seconds per second that a shard of the demo is said to have: below, too few requests would come to
/// judge by; above, eight clients could not keep so many backends busy.
const CAPACITY_LEAST: f64 = 0.25;
const CAPACITY_MOST: f64 = 1.0;

/// When the time ranges end; the last has no end. What lies before the first belongs to the first.
const QUARTERS: [&str; 3] = ["2026-04-01T00:00:00Z", "2026-07-01T00:00:00Z", "2026-10-01T00:00:00Z"];

/// What one of so many shards can give on a machine with so many CPUs: they share it, with the proxy and the clients.
pub(super) fn capacity(cpus: usize, shards: usize) -> f64 {
    let float = |count: usize| u32::try_from(count).map_or(1.0, f64::from).max(1.0);
    (float(cpus) / float(shards)).clamp(CAPACITY_LEAST, CAPACITY_MOST)
}

/// The text of the file, for shards on these ports of this machine.
pub(super) fn text(shard_ports: &[u16], capacity: f64, port: u16, http: u16) -> String {
    let count = shard_ports.len();
    let shard = |wanted: usize| format!("s{}", wanted.checked_rem(count).unwrap_or(0));
    let mut shards = String::new();
    for (index, shard_port) in shard_ports.iter().enumerate() {
        // Writing to a String can't fail.
        writeln!(
            shards,
            "  - {{name: s{index}, primary: \"postgres://{CONTROL_ROLE}@127.0.0.1:{shard_port}/{DATABASE}\", capacity: {capacity:.2}}}"
        )
        .ok();
    }
    let mut ranges: Vec<String> = QUARTERS
        .iter()
        .enumerate()
        .map(|(quarter, until)| format!("{{until: \"{until}\", shard: {}}}", shard(quarter)))
        .collect();
    ranges.push(format!("{{shard: {}}}", shard(3)));
    // Equities go to every shard that has no other category, or to the second if there is none.
    let mut equity: Vec<String> = (0..count).filter(|index| ![0, 2].contains(index)).map(shard).collect();
    if equity.is_empty() {
        equity.push(shard(1));
    }
    format!(
        "# Written by `shardctl demo`; shard-config/demo.yaml explains it.\n\
         version: 1\n\
         listen: 127.0.0.1:{port}\n\
         http: 127.0.0.1:{http}\n\
         auth: {{method: trust}}\n\
         database: {DATABASE}\n\
         home: s0\n\
         shards:\n{shards}\
         keyspaces:\n\
         \x20 user: {{strategy: hash, type: bigint, buckets: 1024}}\n\
         \x20 time: {{strategy: range, type: timestamptz, ranges: [{ranges}]}}\n\
         \x20 instrument:\n\
         \x20   strategy: category\n\
         \x20   type: text\n\
         \x20   lookup: {{table: instruments, key: symbol, category: category}}\n\
         \x20   categories: {{fx_major: {fx_major}, fx_exotic: {fx_exotic}, equity: [{equity}]}}\n\
         \x20   default: {default}\n\
         tables:\n\
         \x20 users: {{keyspace: user, key: id}}\n\
         \x20 orders: {{keyspace: user, key: user_id}}\n\
         \x20 events: {{keyspace: time, key: at}}\n\
         \x20 trades: {{keyspace: instrument, key: instrument}}\n\
         \x20 instruments: {{reference: true}}\n\
         \x20 currencies: {{reference: true}}\n\
         \x20 audit_log: {{unsharded: s0}}\n\
         rebalancer: {{policy: propose, threshold: 0.7}}\n",
        ranges = ranges.join(", "),
        fx_major = shard(0),
        fx_exotic = shard(2),
        equity = equity.join(", "),
        default = shard(3),
    )
}

#[cfg(test)]
mod tests {
    use shardgate::config;
    use shardgate::topology::Topology;

    use super::*;

    #[test]
    fn every_number_of_shards_makes_a_topology() {
        for count in 1..=16_u16 {
            let ports: Vec<u16> = (0..count).map(|index| 5_500 + index).collect();
            let text = text(&ports, capacity(2, ports.len()), 6432, 9432);
            let settings = config::parse("demo.yaml", &text, &|_| None).unwrap();
            let topology = Topology::create(&settings.declared).unwrap();
            assert_eq!(topology.shards().len(), usize::from(count));
        }
    }
}
