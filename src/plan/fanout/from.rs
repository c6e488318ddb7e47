//! One block's FROM, join by join: where its rows lie.
//!
//! Why as written: whether a copy of a reference table on each shard is right depends on the side of the join on which it
//! stands. Holds: rows lie in groups, one for each key, until a condition that every row meets makes two of them one.

use crate::plan::resolve::{Block, BlockId, ColumnRef, Lateral, Placement, Side, Source};
use crate::plan::{RefusalId, refuse};
use crate::sql::ast::{BinaryOperator, Expr, Join, JoinConstraint, JoinOperator, TableFactor, TableWithJoins};

use super::spread::{Group, Proof, Reader, Spread, Spreads, Yield, bug, column_in, unnested};

/// Rows of a part of FROM: everywhere, or groups that no condition has linked yet.
#[derive(Clone, Debug)]
enum Part {
    Everywhere,
    Keyed(Vec<Group>),
}

impl Part {
    fn whole(self) -> Proof<Spread> {
        match self {
            Part::Everywhere => Ok(Spread::Everywhere),
            Part::Keyed(groups) => Ok(Spread::Keyed(single(groups)?)),
        }
    }
}

/// The walk over one block's FROM; `next` counts its items in order of writing.
pub(super) struct From<'w, 'r, 'a> {
    spreads: &'w Spreads<'r, 'a>,
    id: BlockId,
    block: &'r Block<'a>,
    next: usize,
    reader: Reader,
}

impl<'w, 'r, 'a> From<'w, 'r, 'a> {
    pub(super) fn new(spreads: &'w Spreads<'r, 'a>, id: BlockId, block: &'r Block<'a>, reader: Reader) -> Self {
        From {
            spreads,
            id,
            block,
            next: 0,
            reader,
        }
    }

    /// Where the rows of all that FROM lists lie.
    pub(super) fn spread(mut self, trees: &'a [TableWithJoins]) -> Proof<Spread> {
        let mut part = Part::Everywhere;
        for tree in trees {
            let right = self.tree(tree, &part)?;
            part = self.inner(part, right);
        }
        part.whole()
    }

    /// Where the rows of `TABLE t` lie.
    pub(super) fn spread_of_table(&self) -> Proof<Spread> {
        self.item(0, &Part::Everywhere)?.whole()
    }

    fn tree(&mut self, tree: &'a TableWithJoins, before: &Part) -> Proof<Part> {
        let mut left = self.factor(&tree.relation, before)?;
        for join in &tree.joins {
            left = self.join(left, join, before)?;
        }
        Ok(left)
    }

    fn join(&mut self, left: Part, join: &'a Join, before: &Part) -> Proof<Part> {
        if join.global {
            return Err(refuse(RefusalId::SyntaxNotUnderstood, &["GLOBAL JOIN"]));
        }
        let sees = match (before, &left) {
            (Part::Keyed(a), Part::Keyed(b)) => Part::Keyed(a.iter().chain(b).cloned().collect()),
            (Part::Keyed(_), Part::Everywhere) => before.clone(),
            (Part::Everywhere, _) => left.clone(),
        };
        let right = self.factor(&join.relation, &sees)?;
        match &join.join_operator {
            JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_) => Ok(self.inner(left, right)),
            JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => self.outer(left, right),
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) => self.outer(right, left),
            JoinOperator::FullOuter(constraint) => match (left, right) {
                (Part::Everywhere, Part::Everywhere) => Ok(Part::Everywhere),
                (Part::Keyed(left), Part::Keyed(right)) => self.full(left, right, constraint),
                (Part::Keyed(_), Part::Everywhere) | (Part::Everywhere, Part::Keyed(_)) => {
                    Err(refuse(RefusalId::FanOutFullJoin, &[]))
                }
            },
            _ => Err(refuse(RefusalId::SyntaxNotUnderstood, &["a join of another dialect"])),
        }
    }

    fn factor(&mut self, factor: &'a TableFactor, before: &Part) -> Proof<Part> {
        if let TableFactor::NestedJoin {
            table_with_joins,
            alias: _,
        } = factor
        {
            return self.tree(table_with_joins, before);
        }
        let item = self.next;
        self.next = item.saturating_add(1);
        self.item(item, before)
    }

    fn item(&self, index: usize, before: &Part) -> Proof<Part> {
        let resolved = self.spreads.resolved;
        let item = self.block.items.get(index).ok_or_else(bug)?;
        let column = |column: usize| ColumnRef {
            block: self.id,
            item: index,
            column,
        };
        let yields = match item.source {
            Source::Relation(reference) => {
                let reference = resolved.references.get(reference.0).ok_or_else(bug)?;
                return match reference.placement {
                    Placement::Sharded { keyspace, key } => {
                        let keys = vec![column(key)];
                        Ok(Part::Keyed(vec![Group {
                            keyspace,
                            linked: keys.clone(),
                            keys,
                        }]))
                    }
                    Placement::Reference => Ok(Part::Everywhere),
                    Placement::Unsharded(_) => Err(refuse(RefusalId::UnshardedBesideSharded, &[&reference.name])),
                    Placement::System => Err(refuse(RefusalId::HomeOnly, &[&reference.name])),
                    Placement::Temporary => Err(refuse(RefusalId::HomeOnly, &[&reference.name])),
                    Placement::Missing => Err(refuse(RefusalId::HomeOnly, &[&reference.name])),
                };
            }
            Source::View { query } | Source::Cte { query } => {
                let mut outside = self.spreads.clone();
                if matches!(item.source, Source::View { .. }) {
                    outside.outer.clear();
                }
                outside.query(query, self.reader)?
            }
            Source::Subquery {
                query,
                lateral: Lateral::No,
            } => self.spreads.query(query, self.reader)?,
            Source::Subquery {
                query,
                lateral: Lateral::Yes,
            } => {
                let mut sees = self.spreads.deeper()?;
                if let Part::Keyed(groups) = before {
                    // a key before it is a key of this row only once all of them are linked
                    if let [group] = groups.as_slice() {
                        sees.outer.extend(group.linked.iter().copied());
                    }
                }
                // tied to the key of the row before it, it is evaluated where that row lies
                match sees.subquery(query) {
                    Ok(()) => Yield::Everywhere,
                    Err(_) => sees.query(query, self.reader)?,
                }
            }
            Source::Excluded => return Err(bug()),
            Source::Function => Yield::Everywhere,
        };
        Ok(match yields {
            Yield::Everywhere => Part::Everywhere,
            Yield::Keyed { keyspace, keys, linked } => Part::Keyed(vec![Group {
                keyspace,
                keys: keys.into_iter().map(column).collect(),
                linked: linked.into_iter().map(column).collect(),
            }]),
        })
    }

    fn inner(&self, left: Part, right: Part) -> Part {
        match (left, right) {
            (Part::Everywhere, part) | (part, Part::Everywhere) => match part {
                Part::Everywhere => Part::Everywhere,
                Part::Keyed(groups) => Part::Keyed(self.link(groups)),
            },
            (Part::Keyed(mut groups), Part::Keyed(right)) => {
                groups.extend(right);
                Part::Keyed(self.link(groups))
            }
        }
    }

    /// Left join, with the preserved side first.
    fn outer(&self, preserved: Part, nullable: Part) -> Proof<Part> {
        match (preserved, nullable) {
            (preserved, Part::Everywhere) => Ok(preserved),
            (Part::Everywhere, Part::Keyed(_)) => Err(refuse(RefusalId::FanOutOuterReference, &[])),
            (Part::Keyed(mut groups), Part::Keyed(right)) => {
                let right = single(right)?;
                let ties = |group: &Group| {
                    group.keyspace == right.keyspace
                        && self.block.conjuncts.iter().any(|conjunct| {
                            let Some((one, other)) = self.spreads.equality(self.block, conjunct) else {
                                return false;
                            };
                            // a condition under which alone the nullable side's rows matter: its ON, or one inside it
                            let tie = |l: ColumnRef, r: ColumnRef| {
                                let known = group.linked.contains(&l) && right.linked.contains(&r);
                                known && conjunct.prunes.contains(r.item)
                            };
                            (tie(one, other) || tie(other, one)) && self.spreads.comparable(one, other)
                        })
                };
                match groups.iter_mut().find(|group| ties(group)) {
                    Some(group) => {
                        group.linked.extend(right.linked);
                        Ok(Part::Keyed(groups))
                    }
                    None => Err(refuse(RefusalId::FanOutJoin, &[])),
                }
            }
        }
    }

    /// Full join of two sides on their keys: a row's partners lie where it lies, and one without any stays there alone.
    fn full(&self, left: Vec<Group>, right: Vec<Group>, constraint: &'a JoinConstraint) -> Proof<Part> {
        let refused = || refuse(RefusalId::FanOutFullJoin, &[]);
        let (Ok(left), Ok(right), JoinConstraint::On(condition)) = (single(left), single(right), constraint) else {
            return Err(refused());
        };
        let scope = self.spreads.resolved.scope(self.id);
        let mut open = vec![condition];
        let mut tied = false;
        while let Some(expr) = open.pop() {
            let Expr::BinaryOp {
                left: one,
                op,
                right: other,
            } = unnested(expr)
            else {
                continue;
            };
            match op {
                BinaryOperator::And => open.extend([&**one, &**other]),
                BinaryOperator::Eq => {
                    let column = |expr: &Expr| column_in(self.spreads.resolved, scope, expr);
                    let (Some(one), Some(other)) = (column(one), column(other)) else {
                        continue;
                    };
                    let ties = |l: ColumnRef, r: ColumnRef| left.linked.contains(&l) && right.linked.contains(&r);
                    tied |= (ties(one, other) || ties(other, one)) && self.spreads.comparable(one, other);
                }
                _ => {}
            }
        }
        match tied && left.keyspace == right.keyspace {
            // either side's key may be NULL now
            true => Ok(Part::Keyed(vec![Group {
                keyspace: left.keyspace,
                keys: Vec::new(),
                linked: left.linked.into_iter().chain(right.linked).collect(),
            }])),
            false => Err(refused()),
        }
    }

    /// Makes groups one where a condition that every row meets says that their keys are equal, and takes in columns that
    /// it says are equal to a key.
    fn link(&self, mut groups: Vec<Group>) -> Vec<Group> {
        let equalities: Vec<(ColumnRef, ColumnRef)> = self
            .block
            .conjuncts
            .iter()
            .filter_map(|conjunct| {
                let (one, other) = self.spreads.equality(self.block, conjunct)?;
                let holds = one.block == self.id && other.block == self.id;
                let holds = holds && (conjunct.prunes.contains(one.item) || conjunct.prunes.contains(other.item));
                (holds && self.spreads.comparable(one, other)).then_some((one, other))
            })
            .collect();
        let mut changed = true;
        while changed {
            changed = join_sharing(&mut groups);
            for (one, other) in &equalities {
                let find = |column: &ColumnRef, groups: &[Group]| {
                    groups.iter().position(|group| group.linked.contains(column))
                };
                match (find(one, &groups), find(other, &groups)) {
                    (Some(a), Some(b)) if a != b => {
                        let (first, second) = (a.min(b), a.max(b));
                        let same = groups.get(first).map(|g| g.keyspace) == groups.get(second).map(|g| g.keyspace);
                        if same && second < groups.len() {
                            let taken = groups.remove(second);
                            if let Some(group) = groups.get_mut(first) {
                                group.keys.extend(taken.keys);
                                group.linked.extend(taken.linked);
                            }
                            changed = true;
                        }
                    }
                    (Some(_), Some(_)) | (None, None) => {}
                    (Some(at), None) => changed |= self.take_in(groups.get_mut(at), *one, *other),
                    (None, Some(at)) => changed |= self.take_in(groups.get_mut(at), *other, *one),
                }
            }
        }
        groups
    }

    /// `known` is linked and every row has `known = new`.
    fn take_in(&self, group: Option<&mut Group>, known: ColumnRef, new: ColumnRef) -> bool {
        let Some(group) = group else { return false };
        let preserved = |column: ColumnRef| {
            let item = self.block.items.get(column.item);
            item.is_some_and(|item| item.side == Side::Preserved)
        };
        // Only where both stand on no nullable side does the equality surely hold on every row.
        if !preserved(known) || !preserved(new) {
            return false;
        }
        group.linked.push(new);
        group.keys.push(new);
        true
    }
}

/// Makes two groups one that share a column: it holds both their keys.
fn join_sharing(groups: &mut Vec<Group>) -> bool {
    for first in 0..groups.len() {
        let Some((left, rest)) = groups.get(first..).and_then(<[Group]>::split_first) else {
            return false;
        };
        let shares = |group: &Group| {
            group.keyspace == left.keyspace && group.linked.iter().any(|column| left.linked.contains(column))
        };
        if let Some(offset) = rest.iter().position(shares) {
            let taken = groups.remove(first.saturating_add(1).saturating_add(offset));
            if let Some(group) = groups.get_mut(first) {
                group.keys.extend(taken.keys);
                group.linked.extend(taken.linked);
            }
            return true;
        }
    }
    false
}

/// The one group that all rows belong to.
fn single(groups: Vec<Group>) -> Proof<Group> {
    let mut groups = groups.into_iter();
    match (groups.next(), groups.next()) {
        (Some(group), None) => Ok(group),
        (Some(a), Some(b)) if a.keyspace != b.keyspace => Err(refuse(RefusalId::FanOutKeyspaces, &[])),
        (Some(_), Some(_)) => Err(refuse(RefusalId::FanOutJoin, &[])),
        (None, _) => Err(bug()),
    }
}
