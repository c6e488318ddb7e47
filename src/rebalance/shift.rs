//! Shifting weights: many buckets of a hash keyspace follow a ring in which the overloaded shard has fewer points.
//!
//! Why the ring and not the heaviest buckets: where load lies evenly over hundreds of buckets no single one matters, and a
//! consistent ring takes from one shard and gives to the others in proportion to their weights, moving nothing else.

use super::cluster::Cluster;
use crate::topology::{Change, HashPlacement, KeyspaceId, Shard, ShardId, ShardSet, ShardState, Strategy};

/// Fewer buckets than these are moved one by one.
pub(super) const BUCKETS_LEAST: usize = 9;
/// The parts of its ring points that the shard keeps, in thousandths; all of them: a shard that was added takes its share.
const KEPT: [u32; 9] = [1_000, 900, 800, 700, 600, 500, 400, 300, 200];

/// For every hash keyspace: the buckets that each lighter weight of this shard would take from it.
pub(super) fn shifts(cluster: &Cluster<'_>, from: ShardId, targets: ShardSet) -> Vec<Vec<Change>> {
    let mut shifts: Vec<Vec<Change>> = Vec::new();
    for (index, keyspace) in cluster.topology.keyspaces().iter().enumerate() {
        let (Some(id), Strategy::Hash(placement)) = (KeyspaceId::new(index), keyspace.strategy()) else {
            continue;
        };
        let able: Vec<(ShardId, &Shard)> = cluster
            .topology
            .all_shards()
            .iter()
            .filter_map(|shard| Some((shard, cluster.topology.shard(shard)?)))
            .filter(|(_, shard)| shard.state == ShardState::Serving && shard.has_labels(keyspace.labels()))
            .collect();
        for kept in KEPT {
            let shift = shift(cluster, (id, placement), (from, kept), targets, &able);
            if shift.len() >= BUCKETS_LEAST && !shifts.contains(&shift) {
                shifts.push(shift);
            }
        }
    }
    shifts
}

fn shift(
    cluster: &Cluster<'_>,
    (keyspace, placement): (KeyspaceId, &HashPlacement),
    (from, kept): (ShardId, u32),
    targets: ShardSet,
    able: &[(ShardId, &Shard)],
) -> Vec<Change> {
    // A ring that can't be made proposes nothing.
    let Ok(ring) = HashPlacement::ring_without(placement.declared_buckets(), able, from, kept) else {
        return Vec::new();
    };
    let moves = placement.owners().iter().zip(&ring).enumerate();
    moves
        .filter(|(_, (owner, to))| **owner == from && targets.contains(**to))
        .filter_map(|(index, (_, to))| {
            let bucket = crate::topology::BucketId::new(index)?;
            cluster.is_free((keyspace, bucket)).then_some(Change::MoveBucket {
                keyspace,
                bucket,
                to: *to,
            })
        })
        .collect()
}
