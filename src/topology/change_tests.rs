//! After any changes every key has one place, keys that no change named keep theirs, and the document reads back.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::Strategy;

use super::*;
use crate::topology::{
    CategorySource, Declaration, DeclaredCategory, DeclaredKeyspace, DeclaredRange, DeclaredStrategy, Evolved,
    HashStart, Labels, Place, Placed, Shard, WrittenChange,
};
use crate::value::KeyType;

fn labelled(name: &str, region: Option<&str>) -> Shard {
    let mut shard = Shard::new(name);
    shard
        .labels
        .extend(region.map(|region| ("region".to_owned(), region.to_owned())));
    shard
}

fn eu() -> Labels {
    Labels::from([("region".to_owned(), "eu".to_owned())])
}

/// One keyspace of each strategy over four shards, two of them in eu; category "eu" must stay there.
fn declaration() -> Declaration {
    let keyspace = |name: &str, key_type, strategy| DeclaredKeyspace {
        name: name.to_owned(),
        key_type,
        labels: Labels::new(),
        strategy,
    };
    let ranges = [("-100", "s0"), ("0", "s1"), ("100", "s1"), ("", "s2")].map(|(until, shard)| DeclaredRange {
        until: Some(until.to_owned()).filter(|until| !until.is_empty()),
        shard: shard.to_owned(),
    });
    let category = |name: &str, shards: &[&str], labels| DeclaredCategory {
        name: name.to_owned(),
        shards: shards.iter().map(|shard| (*shard).to_owned()).collect(),
        labels,
    };
    Declaration {
        shards: vec![
            labelled("s0", Some("eu")),
            labelled("s1", None),
            labelled("s2", Some("us")),
            labelled("s3", Some("eu")),
        ],
        keyspaces: vec![
            keyspace(
                "hash",
                KeyType::Int8,
                DeclaredStrategy::Hash {
                    buckets: 7,
                    start: HashStart::Ring,
                },
            ),
            keyspace(
                "range",
                KeyType::Int8,
                DeclaredStrategy::Range { ranges: ranges.into() },
            ),
            keyspace(
                "category",
                KeyType::Text,
                DeclaredStrategy::Category {
                    source: CategorySource::Key,
                    categories: vec![
                        category("one", &["s0"], Labels::new()),
                        category("eu", &["s3", "s0"], eu()),
                        category("three", &["s1", "s2", "s3"], Labels::new()),
                    ],
                    default: vec!["s2".to_owned()],
                },
            ),
        ],
        ..Declaration::default()
    }
}

fn topology() -> Topology {
    Topology::create(&declaration()).unwrap()
}

fn shard(index: usize) -> ShardId {
    ShardId::new(index).unwrap()
}

fn bucket(index: usize) -> BucketId {
    BucketId::new(index).unwrap()
}

fn keyspace(index: usize) -> KeyspaceId {
    KeyspaceId::new(index).unwrap()
}

/// Where each of many keys lies: by keyspace, key and category.
fn places(topology: &Topology) -> BTreeMap<(usize, String), (String, Place)> {
    let mut places = BTreeMap::new();
    for number in -150_i64..150 {
        for (index, category, key) in [
            (0, "", Key::Int(number.wrapping_mul(0x1E37_79B9_7F4A_7C15))),
            (1, "", Key::Int(number)),
            (2, "one", Key::Text(format!("k{number}").into_bytes())),
            (2, "eu", Key::Text(format!("k{number}").into_bytes())),
            (2, "three", Key::Text(format!("k{number}").into_bytes())),
            (2, "other", Key::Text(format!("k{number}").into_bytes())),
        ] {
            let found = topology.keyspace(keyspace(index)).unwrap();
            let placed = match index {
                2 => found.place_in_category(&key, category),
                _ => found.place(&key),
            };
            let Placed::At(place) = placed else {
                panic!("{key}: {placed:?}")
            };
            assert_eq!(found.owner(place.bucket), Some(place.shard));
            let inside = match index {
                1 => {
                    let crate::topology::Strategy::Range(range) = found.strategy() else {
                        panic!()
                    };
                    let (from, until) = range.ends(place.bucket).unwrap();
                    from.is_none_or(|from| from.compare(&key).unwrap().is_le())
                        && until.is_none_or(|until| until.compare(&key).unwrap().is_gt())
                }
                _ => {
                    let (low, high) = found.arc(place.bucket).unwrap();
                    (low.0..=high.0).contains(&key.hash())
                }
            };
            assert!(inside, "{key} is not inside of its bucket");
            places.insert((index, format!("{category}:{key}")), (category.to_owned(), place));
        }
    }
    places
}

/// Any change, most of which can be made.
fn any_change() -> impl Strategy<Value = Change> {
    let split = prop_oneof![
        any::<i64>().prop_map(|token| SplitAt::Token(Token(token))),
        (-120_i64..120).prop_map(|key| SplitAt::Key(Key::Int(key))),
    ];
    let category = prop_oneof![
        Just(Some("one".to_owned())),
        Just(Some("eu".to_owned())),
        Just(Some("three".to_owned())),
        Just(None),
    ];
    let arcs = prop_oneof![
        Just(None),
        prop::collection::btree_set(any::<i64>(), 0..3)
            .prop_map(|tokens| Some(tokens.into_iter().map(Token).collect())),
    ];
    prop_oneof![
        (0_usize..3, 0_usize..12, 0_usize..4).prop_map(|(space, index, to)| Change::MoveBucket {
            keyspace: keyspace(space),
            bucket: bucket(index),
            to: shard(to),
        }),
        (0_usize..3, 0_usize..12, split, 0_usize..4).prop_map(|(space, index, at, to)| Change::SplitBucket {
            keyspace: keyspace(space),
            bucket: bucket(index),
            at,
            to: shard(to),
        }),
        (category, prop::collection::vec(0_usize..4, 1..4), arcs).prop_map(|(category, shards, tokens)| {
            Change::SpreadCategory {
                keyspace: keyspace(2),
                category,
                shards: shards.into_iter().map(shard).collect(),
                at: tokens.map_or(SpreadAt::Equal, SpreadAt::Tokens),
            }
        }),
    ]
}

/// May this change have moved a key that lay there?
fn names(change: &Change, space: usize, category: &str, before: Place) -> bool {
    match change {
        Change::MoveBucket { keyspace, bucket, .. } | Change::SplitBucket { keyspace, bucket, .. } => {
            keyspace.index() == space && *bucket == before.bucket
        }
        Change::SpreadCategory { category: named, .. } => {
            space == 2 && named.as_deref() == Some(category).filter(|category| *category != "other")
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changes_move_what_they_name_and_nothing_else(changes in prop::collection::vec(any_change(), 1..12)) {
        let mut now = topology();
        let mut before = places(&now);
        let mut made = 0;
        for change in &changes {
            let Ok(next) = now.changed(std::slice::from_ref(change)) else {
                continue;
            };
            let written = change.written(&now);
            let text = serde_json::to_string(&written).unwrap();
            prop_assert_eq!(&serde_json::from_str::<WrittenChange>(&text).unwrap().read(&now), &Ok(change.clone()));
            made += 1;
            prop_assert_eq!(Some(next.epoch()), now.epoch().next());
            let after = places(&next);
            for ((space, key), (category, place)) in &after {
                let (_, old) = &before[&(*space, key.clone())];
                if !names(change, *space, category, *old) {
                    prop_assert_eq!(place, old, "{} of {}, by {:?}", key, space, change);
                }
                if let Change::MoveBucket { to, .. } = change
                    && names(change, *space, category, *old)
                {
                    prop_assert_eq!((place.bucket, place.shard), (old.bucket, *to));
                }
            }
            for (index, found) in next.keyspaces().iter().enumerate() {
                // Every bucket keeps its labels' promise, and has one name and place in each listing.
                for listed in found.buckets() {
                    prop_assert!(next.may_own(keyspace(index), listed.id, listed.shard), "{:?}", listed);
                }
                prop_assert_eq!(found.buckets().len(), found.bucket_count());
                let names: std::collections::BTreeSet<_> = found.buckets().into_iter().map(|bucket| bucket.name).collect();
                prop_assert_eq!(names.len(), found.bucket_count());
                prop_assert!(found.bucket_count() >= now.keyspaces()[index].bucket_count());
            }
            let document = next.to_json().unwrap();
            let read = Topology::from_json(&document).unwrap();
            prop_assert_eq!(&read, &next);
            prop_assert_eq!(read.to_json().unwrap(), document);
            (now, before) = (next, after);
        }
        // A list of changes is the same as one after the other.
        let sound: Vec<Change> = changes.into_iter().scan(topology(), |state, change| {
            let next = state.changed(std::slice::from_ref(&change)).ok();
            let sound = next.is_some();
            if let Some(next) = next {
                *state = next;
            }
            Some(sound.then_some(change))
        }).flatten().collect();
        prop_assert_eq!(sound.len(), made);
        let at_once = topology().changed(&sound).unwrap();
        prop_assert_eq!(at_once.keyspaces(), now.keyspaces());
    }
}

fn fault(change: Change) -> ChangeFault {
    match topology().changed(&[change]) {
        Err(TopologyError::Change { index: 0, fault }) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_be_changed_says_why() {
    let moved = |space, index, to| Change::MoveBucket {
        keyspace: keyspace(space),
        bucket: bucket(index),
        to: shard(to),
    };
    let split = |space, index, at| Change::SplitBucket {
        keyspace: keyspace(space),
        bucket: bucket(index),
        at,
        to: shard(0),
    };
    let spread = |category: &str, shards: &[usize], at| Change::SpreadCategory {
        keyspace: keyspace(2),
        category: Some(category.to_owned()),
        shards: shards.iter().copied().map(shard).collect(),
        at,
    };
    let key = |key| SplitAt::Key(Key::Int(key));
    for (change, expected) in [
        (moved(3, 0, 0), ChangeFault::Unknown),
        (moved(1, 4, 0), ChangeFault::Unknown),
        (moved(1, 0, 4), ChangeFault::NotServing),
        (moved(1, 0, 0), ChangeFault::AlreadyThere),
        // Bucket 1 is the first of category eu.
        (moved(2, 1, 2), ChangeFault::Labels),
        (split(1, 1, key(0)), ChangeFault::OutsideBucket),
        (split(1, 1, key(-100)), ChangeFault::OutsideBucket),
        (split(1, 0, SplitAt::Token(Token(0))), ChangeFault::WrongSplitPoint),
        (
            split(1, 0, SplitAt::Key(Key::Text(b"a".to_vec()))),
            ChangeFault::WrongSplitPoint,
        ),
        (split(0, 0, SplitAt::Token(Token(i64::MIN))), ChangeFault::OutsideBucket),
        (split(0, 0, SplitAt::Token(Token(i64::MAX))), ChangeFault::OutsideBucket),
        (split(2, 0, key(0)), ChangeFault::WrongSplitPoint),
        (spread("none", &[0], SpreadAt::Equal), ChangeFault::Unknown),
        (spread("eu", &[0, 2], SpreadAt::Equal), ChangeFault::Labels),
        (spread("one", &[], SpreadAt::Equal), ChangeFault::BadArcs),
        (spread("one", &[0, 1], SpreadAt::Tokens(vec![])), ChangeFault::BadArcs),
        (
            spread("one", &[0, 1, 2], SpreadAt::Tokens(vec![Token(5), Token(5)])),
            ChangeFault::BadArcs,
        ),
    ] {
        assert_eq!(fault(change.clone()), expected, "{change:?}");
    }
}

#[test]
fn buckets_that_were_split_have_names_and_bounds() {
    let changes = [
        Change::SplitBucket {
            keyspace: keyspace(1),
            bucket: bucket(1),
            at: SplitAt::Key(Key::Int(-50)),
            to: shard(3),
        },
        Change::SpreadCategory {
            keyspace: keyspace(2),
            category: Some("one".to_owned()),
            shards: vec![shard(0), shard(1)],
            at: SpreadAt::Equal,
        },
    ];
    let topology = topology().changed(&changes).unwrap();
    let listed = |index: usize| -> Vec<String> {
        let buckets = topology.keyspace(keyspace(index)).unwrap().buckets().into_iter();
        buckets
            .map(|bucket| {
                format!(
                    "{} {} {}: {}",
                    bucket.id.index(),
                    bucket.name,
                    topology.shard_name(bucket.shard),
                    bucket.bounds
                )
            })
            .collect()
    };
    assert_eq!(
        listed(1),
        [
            "0 0 s0: until -100",
            "1 1 s1: from -100 until -50",
            "2 2 s1: from 0 until 100",
            "3 3 s2: from 100",
            "4 4 s3: from -50 until 0",
        ]
    );
    let category = listed(2);
    assert_eq!(
        category.first().unwrap(),
        "0 one/0 s0: category one, tokens -9223372036854775808 to -1"
    );
    assert_eq!(
        category.last().unwrap(),
        "7 one/1 s1: category one, tokens 0 to 9223372036854775807"
    );
}

/// What a config may say after changes: what is stored now; of buckets that were only split, also what it said before.
#[test]
fn a_config_follows_moves() {
    let changes = [
        Change::MoveBucket {
            keyspace: keyspace(0),
            bucket: bucket(0),
            to: shard(3),
        },
        Change::SplitBucket {
            keyspace: keyspace(0),
            bucket: bucket(1),
            at: SplitAt::Token(topology().keyspace(keyspace(0)).unwrap().arc(bucket(1)).unwrap().1),
            to: shard(2),
        },
        Change::SplitBucket {
            keyspace: keyspace(1),
            bucket: bucket(1),
            at: SplitAt::Key(Key::Int(-50)),
            to: shard(1),
        },
    ];
    let harmless = topology().changed(&changes).unwrap();
    assert_eq!(harmless.evolve(&declaration()), Ok(Evolved::Unchanged));

    let changes = [
        Change::SplitBucket {
            keyspace: keyspace(1),
            bucket: bucket(1),
            at: SplitAt::Key(Key::Int(-50)),
            to: shard(3),
        },
        Change::SpreadCategory {
            keyspace: keyspace(2),
            category: Some("one".to_owned()),
            shards: vec![shard(0), shard(1)],
            at: SpreadAt::Tokens(vec![Token(77)]),
        },
    ];
    let moved = topology().changed(&changes).unwrap();
    let errors = moved.evolve(&declaration()).unwrap_err();
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "keyspace range, range 1: its shard is s1, s3 where rows already lie, but the config says s1",
            "keyspace category, category one: its place is s0, s1 where rows already lie, but the config says s0",
        ]
    );
    assert!(
        errors
            .iter()
            .all(|error| error.hint().unwrap().contains("move or a split"))
    );

    let mut edited = declaration();
    if let DeclaredStrategy::Range { ranges } = &mut edited.keyspaces[1].strategy {
        ranges[1].until = Some("-50".to_owned());
        let upper = DeclaredRange {
            until: Some("0".to_owned()),
            shard: "s3".to_owned(),
        };
        ranges.insert(2, upper);
    }
    if let DeclaredStrategy::Category { categories, .. } = &mut edited.keyspaces[2].strategy {
        categories[0].shards.push("s1".to_owned());
    }
    assert_eq!(moved.evolve(&edited), Ok(Evolved::Unchanged));
}

/// Keys of a category lie with the default until it is listed; where the default was split, it stays split for them.
#[test]
fn a_category_that_lay_with_a_split_default_stays_there() {
    let spread = Change::SpreadCategory {
        keyspace: keyspace(2),
        category: None,
        shards: vec![shard(2), shard(1)],
        at: SpreadAt::Tokens(vec![Token(4_000_000_000_000_000_000)]),
    };
    let stored = topology().changed(&[spread]).unwrap();
    let before = places(&stored);
    let mut more = declaration();
    let DeclaredStrategy::Category {
        categories, default, ..
    } = &mut more.keyspaces[2].strategy
    else {
        panic!()
    };
    categories.push(DeclaredCategory {
        name: "other".to_owned(),
        shards: vec!["s2".to_owned(), "s1".to_owned()],
        labels: Labels::new(),
    });
    *default = vec!["s2".to_owned(), "s1".to_owned()];
    let Ok(Evolved::Next(next)) = stored.evolve(&more) else {
        panic!()
    };
    for (key, (_, place)) in places(&next) {
        assert_eq!(place.shard, before[&key].1.shard, "{key:?}");
    }
    assert_eq!(next.evolve(&more), Ok(Evolved::Unchanged));
    assert_eq!(Topology::from_json(&next.to_json().unwrap()).unwrap(), next);
}

#[test]
fn labels_bind_declarations_too() {
    let texts = |declaration: &Declaration| -> Vec<String> {
        let errors = Topology::create(declaration).unwrap_err();
        errors.iter().map(ToString::to_string).collect()
    };
    let mut wrong = declaration();
    wrong.keyspaces[1].labels = eu();
    assert_eq!(
        texts(&wrong),
        [
            "keyspace range demands a shard with region: eu, but s1 is its owner and isn't labelled so",
            "keyspace range demands a shard with region: eu, but s2 is its owner and isn't labelled so",
        ]
    );
    // A hash keyspace's ring has only shards that may own.
    let mut hash = declaration();
    hash.keyspaces[0].labels = eu();
    let shards: Vec<usize> = Topology::create(&hash).unwrap().keyspaces()[0]
        .shards()
        .iter()
        .map(ShardId::index)
        .collect();
    assert_eq!(shards, [0, 3]);
    hash.keyspaces[0].labels = Labels::from([("region".to_owned(), "asia".to_owned())]);
    assert_eq!(
        texts(&hash),
        ["keyspace hash demands a shard with region: asia, and none is labelled so"]
    );
    // A shard can't lose a label that a bucket of it demands.
    let mut relabelled = declaration();
    relabelled.shards[3].labels.clear();
    let errors = topology().evolve(&relabelled).unwrap_err();
    assert_eq!(
        errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["keyspace category, category eu demands a shard with region: eu, but s3 is its owner and isn't labelled so"]
    );
}

/// Documents that were written before there were splits read as they did; what contradicts itself is refused.
#[test]
fn documents_are_read_strictly() {
    let document = topology().to_json().unwrap();
    assert!(!document.contains("cuts") && !document.contains("\"bucket\"") && !document.contains("\"buckets\""));
    for (from, to) in [
        ("\"owners\":[", "\"cuts\":[5,5],\"owners\":["),
        ("\"owners\":[", "\"cuts\":[-9223372036854775808],\"owners\":["),
        ("\"owners\":[", "\"cuts\":[1,2,3,4,5,6,7,8],\"owners\":["),
        ("\"until\":\"-100\"", "\"bucket\":1,\"until\":\"-100\""),
        ("\"name\":\"one\"", "\"buckets\":[0],\"name\":\"one\""),
        ("\"name\":\"one\"", "\"cuts\":[7],\"name\":\"one\""),
    ] {
        assert!(document.contains(from));
        let broken = document.replacen(from, to, 1);
        let error = Topology::from_json(&broken).unwrap_err().to_string();
        assert!(error.contains("misnumbered"), "{to}: {error}");
    }
}
