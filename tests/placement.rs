//! `topology` through its door: where keys lie, how evenly, what moves, what a new declaration may change.
//!
//! `tests/golden/placement.txt` pins the ring: if it differs, rows would be looked for where they don't lie.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use proptest::prelude::*;
use shardgate::topology::{
    Aspect, Bound, BucketId, CategorySource, Declaration, DeclaredCategory, DeclaredKeyspace, DeclaredRange,
    DeclaredStrategy, DeclaredTable, Evolved, FunctionClass, HashStart, Keyspace, Place, Placed, QualifiedName,
    SHARDS_MAX, Shard, ShardId, ShardSet, ShardState, Strategy as Placing, Token, Topology, TopologyError,
};
use shardgate::value::{Key, KeyType};

// === declarations ===

fn shards(weights: &[u32]) -> Vec<Shard> {
    let numbered = weights.iter().enumerate();
    numbered
        .map(|(index, weight)| Shard {
            weight: *weight,
            ..Shard::new(format!("s{index}"))
        })
        .collect()
}

fn hash(name: &str, key_type: KeyType, buckets: u32) -> DeclaredKeyspace {
    let strategy = DeclaredStrategy::Hash {
        buckets,
        start: HashStart::Ring,
    };
    DeclaredKeyspace {
        name: name.to_owned(),
        key_type,
        labels: BTreeMap::new(),
        strategy,
    }
}

fn range(name: &str, key_type: KeyType, ranges: &[(&str, &str)]) -> DeclaredKeyspace {
    let ranges = ranges.iter().map(|(until, shard)| DeclaredRange {
        until: Some((*until).to_owned()).filter(|until| !until.is_empty()),
        shard: (*shard).to_owned(),
    });
    let strategy = DeclaredStrategy::Range {
        ranges: ranges.collect(),
    };
    DeclaredKeyspace {
        name: name.to_owned(),
        key_type,
        labels: BTreeMap::new(),
        strategy,
    }
}

fn category(name: &str, source: CategorySource, categories: &[(&str, &[&str])], default: &[&str]) -> DeclaredKeyspace {
    let named = |shards: &[&str]| shards.iter().map(|shard| (*shard).to_owned()).collect::<Vec<_>>();
    let categories = categories
        .iter()
        .map(|(name, shards)| DeclaredCategory {
            name: (*name).to_owned(),
            shards: named(shards),
            labels: BTreeMap::new(),
        })
        .collect();
    let strategy = DeclaredStrategy::Category {
        source,
        categories,
        default: named(default),
    };
    DeclaredKeyspace {
        name: name.to_owned(),
        key_type: KeyType::Text,
        labels: BTreeMap::new(),
        strategy,
    }
}

fn lookup() -> CategorySource {
    CategorySource::Lookup {
        table: QualifiedName::public("instruments"),
        key: "symbol".to_owned(),
        category: "category".to_owned(),
    }
}

fn by_key(listed: &[(&str, &str)]) -> CategorySource {
    CategorySource::ByKey(
        listed
            .iter()
            .map(|(key, category)| ((*key).to_owned(), (*category).to_owned()))
            .collect(),
    )
}

fn sharded(keyspace: &str, key: &str) -> DeclaredTable {
    DeclaredTable::Sharded {
        keyspace: keyspace.to_owned(),
        key: key.to_owned(),
    }
}

/// The config of design §3.
fn trading() -> Declaration {
    let tables = [
        ("users", sharded("user", "id")),
        ("orders", sharded("user", "user_id")),
        ("events", sharded("time", "at")),
        ("trades", sharded("instrument", "instrument")),
        ("instruments", DeclaredTable::Reference),
        ("audit_log", DeclaredTable::Unsharded("s0".to_owned())),
    ];
    Declaration {
        shards: shards(&[1, 2, 1, 1]),
        keyspaces: vec![
            hash("user", KeyType::Int8, 1024),
            range(
                "time",
                KeyType::Timestamptz,
                &[
                    ("2026-04-01T00:00:00Z", "s0"),
                    ("2026-07-01T00:00:00Z", "s1"),
                    ("", "s2"),
                ],
            ),
            category(
                "instrument",
                lookup(),
                &[("fx_major", &["s0"]), ("fx_exotic", &["s2"]), ("equity", &["s1", "s3"])],
                &["s3"],
            ),
        ],
        tables: tables
            .into_iter()
            .map(|(name, table)| (QualifiedName::public(name), table))
            .collect(),
        functions: BTreeMap::from([(QualifiedName::new("billing", "fee"), FunctionClass::Pure)]),
        home: Some("s0".to_owned()),
        default_shard: None,
    }
}

fn create(declaration: &Declaration) -> Topology {
    Topology::create(declaration).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn with_keyspace(keyspace: DeclaredKeyspace, weights: &[u32]) -> Declaration {
    let tables = BTreeMap::from([(QualifiedName::public("instruments"), DeclaredTable::Reference)]);
    Declaration {
        shards: shards(weights),
        keyspaces: vec![keyspace],
        tables,
        ..Declaration::default()
    }
}

fn only_keyspace(topology: &Topology) -> &Keyspace {
    topology.keyspaces().first().unwrap()
}

fn owners(topology: &Topology) -> Vec<ShardId> {
    match only_keyspace(topology).strategy() {
        Placing::Hash(hash) => hash.owners().to_vec(),
        other => panic!("{other:?}"),
    }
}

fn id(index: usize) -> ShardId {
    ShardId::new(index).unwrap()
}

fn place(keyspace: &Keyspace, key: &Key) -> Place {
    match keyspace.place(key) {
        Placed::At(place) => place,
        other => panic!("{key}: {other:?}"),
    }
}

// === the ring ===

/// Bucket counts per shard, over 65,536 buckets so that the arcs' own size doesn't count.
fn shares(weights: &[u32]) -> Vec<usize> {
    let topology = create(&with_keyspace(hash("k", KeyType::Int8, 65_536), weights));
    let mut shares = vec![0; weights.len()];
    owners(&topology).iter().for_each(|owner| shares[owner.index()] += 1);
    shares
}

#[test]
fn golden_placement() {
    let mut text = String::from("# owners of buckets as runs: shard x buckets; any difference moves data\n");
    for (weights, buckets) in [
        (&[1, 1, 1, 1][..], 64),
        (&[1, 2, 1, 1], 1024),
        (&[1], 7),
        (&[1, 1], 100),
        (&[3, 1, 2], 60),
        (&[1, 1, 1, 1, 1, 1, 1, 1], 256),
    ] {
        let topology = create(&with_keyspace(hash("k", KeyType::Int8, buckets), weights));
        write!(text, "\nweights {weights:?}, {buckets} buckets\n----\n").unwrap();
        for run in owners(&topology).chunk_by(|a, b| a == b) {
            writeln!(text, "s{} x{}", run[0].index(), run.len()).unwrap();
        }
    }
    // And some keys of every type, all the way to their shards.
    text.push_str("\nkeys over 1024 buckets on weights [1, 2, 1, 1]\n----\n");
    for (key_type, keys) in [
        (KeyType::Int8, &["0", "1", "-1", "42", "9223372036854775807"][..]),
        (KeyType::Int2, &["42"]),
        (KeyType::Text, &["", "EURUSD", "déjà vu"]),
        (KeyType::Varchar, &["EURUSD"]),
        (KeyType::Bpchar, &["EURUSD  "]),
        (KeyType::Uuid, &["00000000-0000-0000-0000-000000000000"]),
        (KeyType::Date, &["2026-11-24"]),
        (KeyType::Timestamp, &["2026-11-24 12:00"]),
        (KeyType::Timestamptz, &["2026-11-24 12:00+02"]),
        (KeyType::Numeric, &["0", "1.50", "NaN"]),
    ] {
        let topology = create(&with_keyspace(hash("k", key_type, 1024), &[1, 2, 1, 1]));
        for key in keys {
            let Place { bucket, shard } = place(
                only_keyspace(&topology),
                &Key::parse_text(key_type, key.as_bytes()).unwrap(),
            );
            writeln!(
                text,
                "{} {key:?} bucket {} s{}",
                key_type.name(),
                bucket.index(),
                shard.index()
            )
            .unwrap();
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/placement.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    assert!(
        golden == text,
        "placement differs from {path}: rows would be looked for where they don't lie\n{text}"
    );
}

/// The bound: with up to 16 shards of weight 1 to 4 no shard's share is more than a quarter off what its weight says.
#[test]
fn shares_follow_weights() {
    for weights in [
        &[1, 1, 1, 1][..],
        &[1, 2, 1, 1],
        &[1; 16],
        &[4, 1, 2, 3],
        &[1, 1],
        &[10, 1],
        &[2, 2, 2, 2],
    ] {
        let total: u32 = weights.iter().sum();
        for (share, weight) in shares(weights).iter().zip(weights) {
            let expected = 65_536 * *weight as usize / total as usize;
            let off = share.abs_diff(expected);
            assert!(
                off * 4 <= expected,
                "{weights:?}: a share of {share} instead of {expected}"
            );
        }
    }
}

#[test]
fn all_on_one_shard() {
    let strategy = DeclaredStrategy::Hash {
        buckets: 16,
        start: HashStart::All("s2".to_owned()),
    };
    let keyspace = DeclaredKeyspace {
        name: "k".to_owned(),
        key_type: KeyType::Int4,
        labels: BTreeMap::new(),
        strategy,
    };
    let topology = create(&with_keyspace(keyspace, &[1, 1, 1]));
    assert_eq!(owners(&topology), vec![id(2); 16]);
    assert_eq!(only_keyspace(&topology).shards().single(), Some(id(2)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// A new shard takes about its share, and nothing moves between the others.
    #[test]
    fn a_new_shard_takes_its_share_and_nothing_else_moves(weights in prop::collection::vec(1_u32..4, 1..8), added in 1_u32..4) {
        let keyspace = || hash("k", KeyType::Int8, 4096);
        let before = owners(&create(&with_keyspace(keyspace(), &weights)));
        let mut more = weights.clone();
        more.push(added);
        let after = owners(&create(&with_keyspace(keyspace(), &more)));
        let newcomer = id(weights.len());
        let mut moved = 0_usize;
        for (old, new) in before.iter().zip(&after) {
            if old != new {
                prop_assert_eq!(*new, newcomer);
                moved += 1;
            }
        }
        let expected = 4096 * added as usize / more.iter().sum::<u32>() as usize;
        prop_assert!(moved.abs_diff(expected) * 10 <= expected * 3, "{} moved, {} expected", moved, expected);
    }

    /// Whatever the order in which shards are declared, names decide.
    #[test]
    fn names_decide_not_positions(seed in 0_usize..24) {
        let mut declared = shards(&[1, 2, 3, 1]);
        let straight = create(&Declaration { shards: declared.clone(), keyspaces: vec![hash("k", KeyType::Int8, 512)], ..Declaration::default() });
        declared.rotate_left(seed % 4);
        declared.swap(0, seed / 6);
        let shuffled = create(&Declaration { shards: declared, keyspaces: vec![hash("k", KeyType::Int8, 512)], ..Declaration::default() });
        let names = |topology: &Topology| owners(topology).iter().map(|owner| topology.shard_name(*owner).to_owned()).collect::<Vec<_>>();
        prop_assert_eq!(names(&straight), names(&shuffled));
    }

    /// Buckets partition the token space: arcs follow each other without gap or overlap, and each token is in its bucket's.
    #[test]
    fn buckets_partition_the_tokens(buckets in 1_u32..=65_536, tokens in prop::collection::vec(any::<i64>(), 50)) {
        let strategy = DeclaredStrategy::Hash { buckets, start: HashStart::All("s0".to_owned()) };
        let topology = create(&with_keyspace(DeclaredKeyspace { name: "k".to_owned(), key_type: KeyType::Int8, labels: BTreeMap::new(), strategy }, &[1]));
        let keyspace = only_keyspace(&topology);
        let Placing::Hash(placement) = keyspace.strategy() else { panic!() };
        let arc = |index: u32| placement.arc(BucketId::new(index as usize).unwrap());
        prop_assert_eq!(arc(0).unwrap().0, Token(i64::MIN));
        prop_assert_eq!(arc(buckets - 1).unwrap().1, Token(i64::MAX));
        prop_assert_eq!(arc(buckets), None);
        let mut widths = BTreeSet::new();
        for index in 0..buckets {
            let (low, high) = arc(index).unwrap();
            prop_assert!(low <= high);
            widths.insert(i128::from(high.0) - i128::from(low.0));
            if index > 0 {
                prop_assert_eq!(i128::from(arc(index - 1).unwrap().1.0) + 1, i128::from(low.0));
            }
        }
        // Equal arcs: no two differ by more than one token.
        prop_assert!(widths.last().unwrap() - widths.first().unwrap() <= 1);
        for value in tokens {
            let key = Key::Int(value);
            let (low, high) = placement.arc(place(keyspace, &key).bucket).unwrap();
            prop_assert!((low.0..=high.0).contains(&key.hash()));
        }
    }

    /// A shard's joined arcs hold exactly the tokens that are placed on it.
    #[test]
    fn arcs_of_a_shard_hold_its_tokens(buckets in 1_u32..300, keys in prop::collection::vec(any::<i64>(), 100)) {
        let topology = create(&with_keyspace(hash("k", KeyType::Int8, buckets), &[1, 1, 2]));
        let keyspace = only_keyspace(&topology);
        let Placing::Hash(placement) = keyspace.strategy() else { panic!() };
        for shard in topology.all_shards().iter() {
            let arcs = placement.arcs_of(shard);
            for pair in arcs.windows(2) {
                prop_assert!(i128::from(pair[0].1.0) + 1 < i128::from(pair[1].0.0));
            }
            for key in keys.iter().map(|key| Key::Int(*key)) {
                let within = arcs.iter().any(|(low, high)| (low.0..=high.0).contains(&key.hash()));
                prop_assert_eq!(within, place(keyspace, &key).shard == shard);
            }
        }
    }

    #[test]
    fn shard_sets_are_sets(a in prop::collection::btree_set(0..SHARDS_MAX, 0..20), b in prop::collection::btree_set(0..SHARDS_MAX, 0..20)) {
        let of = |indices: &BTreeSet<usize>| indices.iter().map(|index| id(*index)).collect::<ShardSet>();
        let listed = |set: ShardSet| set.iter().map(ShardId::index).collect::<Vec<_>>();
        let model = |indices: BTreeSet<usize>| indices.into_iter().collect::<Vec<_>>();
        prop_assert_eq!(listed(of(&a)), model(a.clone()));
        prop_assert_eq!(listed(of(&a).union(of(&b))), model(&a | &b));
        prop_assert_eq!(listed(of(&a).intersect(of(&b))), model(&a & &b));
        prop_assert_eq!(of(&a).len(), a.len());
        prop_assert_eq!(of(&a).is_empty(), a.is_empty());
        prop_assert_eq!(of(&a).contains_all(of(&b)), a.is_superset(&b));
        prop_assert_eq!(of(&a).first().map(ShardId::index), a.first().copied());
        prop_assert_eq!(of(&a).single().is_some(), a.len() == 1);
        for index in 0..SHARDS_MAX {
            prop_assert_eq!(of(&a).contains(id(index)), a.contains(&index));
            let mut less = a.clone();
            less.remove(&index);
            prop_assert_eq!(listed(of(&a).without(id(index))), model(less));
            prop_assert_eq!(ShardSet::all(index), (0..index).map(id).collect());
        }
    }

    /// A key lies in one range: the one whose ends enclose it; and a question about an interval names its shard.
    #[test]
    fn ranges_hold_their_keys(bounds in prop::collection::btree_set(-50_i64..50, 0..8), last_open in any::<bool>(), key in -60_i64..60, width in 0_i64..30) {
        let bounds: Vec<i64> = bounds.into_iter().collect();
        prop_assume!(last_open || !bounds.is_empty());
        let mut ranges: Vec<(String, String)> = bounds.iter().enumerate().map(|(index, until)| (until.to_string(), format!("s{index}"))).collect();
        if last_open {
            ranges.push((String::new(), format!("s{}", bounds.len())));
        }
        let borrowed: Vec<(&str, &str)> = ranges.iter().map(|(until, shard)| (until.as_str(), shard.as_str())).collect();
        let topology = create(&with_keyspace(range("r", KeyType::Int8, &borrowed), &[1; 9]));
        let keyspace = only_keyspace(&topology);
        let expected = |key: i64| bounds.iter().position(|until| key < *until).or(last_open.then_some(bounds.len()));
        match (keyspace.place(&Key::Int(key)), expected(key)) {
            (Placed::At(place), Some(index)) => prop_assert_eq!((place.bucket.index(), place.shard), (index, id(index))),
            (placed, expected) => prop_assert_eq!((placed, expected), (Placed::BeyondRanges, None)),
        }
        let (low, high) = (Key::Int(key), Key::Int(key + width));
        for (lower, upper, keys) in [
            (Bound::Inclusive(&low), Bound::Inclusive(&high), key..key + width + 1),
            (Bound::Inclusive(&low), Bound::Exclusive(&high), key..key + width),
            (Bound::Exclusive(&low), Bound::Inclusive(&high), key + 1..key + width + 1),
            (Bound::Inclusive(&low), Bound::Open, key..200),
            (Bound::Open, Bound::Exclusive(&high), -200..key + width),
            (Bound::Open, Bound::Open, -200..200),
        ] {
            let exact: ShardSet = keys.filter_map(expected).map(id).collect();
            let asked = keyspace.shards_between(lower, upper);
            prop_assert!(asked.contains_all(exact), "{:?} {:?}: {:?} lacks some of {:?}", lower, upper, asked, exact);
            let places = keyspace.ranges_between(lower, upper).unwrap();
            let owners: ShardSet = places.filter_map(|place| keyspace.owner(keyspace.bucket_of_range(place)?)).collect();
            prop_assert_eq!(owners, asked);
            // One range too many at most, where an excluded end touches a bound.
            prop_assert!(asked.len() <= exact.len() + 1, "{:?} {:?}: {:?} instead of {:?}", lower, upper, asked, exact);
        }
    }

    /// What is stored reads back equal, and is written the same again.
    #[test]
    fn documents_read_back(weights in prop::collection::vec(1_u32..10, 4..9), buckets in 1_u32..300, bounds in prop::collection::btree_set(any::<i64>(), 1..6), label in "\\PC{0,8}", home in 0_usize..4) {
        let mut declaration = trading();
        declaration.shards = shards(&weights);
        declaration.shards[0].labels.insert("region".to_owned(), label.clone());
        declaration.home = Some(format!("s{home}"));
        declaration.default_shard = (home == 1).then(|| "s3".to_owned());
        declaration.keyspaces.push(hash("more", KeyType::Uuid, buckets));
        let ranges: Vec<String> = bounds.iter().map(ToString::to_string).collect();
        let ranges: Vec<(&str, &str)> = ranges.iter().map(|until| (until.as_str(), "s1")).collect();
        declaration.keyspaces.push(range("ints", KeyType::Int8, &ranges));
        declaration.keyspaces.push(category("listed", by_key(&[("a", "x"), (label.as_str(), "y")]), &[("x", &["s0"])], &["s1", "s2"]));
        declaration.keyspaces.push(category("self", CategorySource::Key, &[("x", &["s0"])], &[]));
        declaration.tables.insert(QualifiedName::new("Odd \"schema\"", label), DeclaredTable::Reference);
        let topology = create(&declaration);
        let document = topology.to_json().unwrap();
        let read = Topology::from_json(&document).unwrap();
        prop_assert_eq!(&read, &topology);
        prop_assert_eq!(read.to_json().unwrap(), document);
        prop_assert_eq!(read.evolve(&declaration), Ok(Evolved::Unchanged));
    }
}

// === keys and places ===

#[test]
fn the_trading_topology_places_keys() {
    let topology = create(&trading());
    assert_eq!(topology.epoch().get(), 1);
    assert_eq!(topology.home(), id(0));
    assert_eq!(topology.all_shards(), ShardSet::all(4));
    let (_, user) = topology.keyspace_by_name("user").unwrap();
    assert_eq!(user.bucket_count(), 1024);
    assert_eq!(user.shards(), ShardSet::all(4));
    assert_eq!(user.place(&Key::Text(b"1".to_vec())), Placed::Mistyped);
    let forty_two = place(user, &Key::Int(42));
    assert_eq!(user.owner(forty_two.bucket), Some(forty_two.shard));
    assert_eq!(user.bucket(forty_two.bucket).unwrap().shard, forty_two.shard);

    let (_, time) = topology.keyspace_by_name("time").unwrap();
    let at = |text: &str| Key::parse_text(KeyType::Timestamptz, text.as_bytes()).unwrap();
    assert_eq!(place(time, &at("2026-03-31 23:59:59.999999+00")).shard, id(0));
    assert_eq!(place(time, &at("2026-04-01 02:00+02")).shard, id(1));
    assert_eq!(place(time, &at("infinity")).shard, id(2));
    let bounds: Vec<String> = time.buckets().into_iter().map(|bucket| bucket.bounds).collect();
    assert_eq!(
        bounds,
        [
            "until 2026-04-01 00:00:00+00",
            "from 2026-04-01 00:00:00+00 until 2026-07-01 00:00:00+00",
            "from 2026-07-01 00:00:00+00"
        ]
    );

    let (_, instrument) = topology.keyspace_by_name("instrument").unwrap();
    let symbol = |text: &str| Key::Text(text.as_bytes().to_vec());
    assert_eq!(instrument.place(&symbol("EURUSD")), Placed::CategoryNeeded);
    let placed = |key: &str, category| match instrument.place_in_category(&symbol(key), category) {
        Placed::At(place) => (place.bucket.index(), place.shard.index()),
        other => panic!("{other:?}"),
    };
    assert_eq!(placed("EURUSD", "fx_major"), (0, 0));
    assert_eq!(placed("USDTRY", "fx_exotic"), (1, 2));
    assert_eq!(placed("XAU", "metal"), (4, 3));
    let equities: BTreeSet<_> = ["AAPL", "MSFT", "SAP", "IBM", "KO", "BMW"]
        .map(|key| placed(key, "equity"))
        .into();
    assert_eq!(equities, BTreeSet::from([(2, 1), (3, 3)]));
    let names: Vec<String> = instrument.buckets().into_iter().map(|bucket| bucket.name).collect();
    assert_eq!(names, ["fx_major", "fx_exotic", "equity/0", "equity/1", "(default)"]);
    assert_eq!(instrument.shards(), ShardSet::all(4));
}

#[test]
fn listed_keys_and_keys_that_are_categories() {
    let listed = category(
        "k",
        by_key(&[("EURUSD", "fx"), ("SAP", "equity")]),
        &[("fx", &["s1"]), ("equity", &["s0"])],
        &[],
    );
    let topology = create(&with_keyspace(listed, &[1, 1]));
    let keyspace = only_keyspace(&topology);
    let text = |text: &str| Key::Text(text.as_bytes().to_vec());
    assert_eq!(place(keyspace, &text("EURUSD")).shard, id(1));
    assert_eq!(place(keyspace, &text("SAP")).shard, id(0));
    assert_eq!(keyspace.place(&text("EURUSD ")), Placed::CategoryUnknown);

    let mut itself = category("k", CategorySource::Key, &[("eu", &["s1"]), ("us", &["s0"])], &[]);
    itself.key_type = KeyType::Bpchar;
    let topology = create(&with_keyspace(itself, &[1, 1]));
    let keyspace = only_keyspace(&topology);
    assert_eq!(place(keyspace, &Key::Bpchar(b"eu   ".to_vec())).shard, id(1));
    assert_eq!(keyspace.place(&Key::Bpchar(b"asia".to_vec())), Placed::CategoryUnknown);
}

#[test]
fn names_print_as_sql_writes_them() {
    for (schema, name, expected) in [
        ("public", "users", "users"),
        ("billing", "fee", "billing.fee"),
        ("public", "Users", "\"Users\""),
        ("A b", "c\"d", "\"A b\".\"c\"\"d\""),
        ("public", "1a", "\"1a\""),
    ] {
        assert_eq!(QualifiedName::new(schema, name).to_string(), expected);
    }
}

// === what may not be declared ===

fn errors(declaration: &Declaration) -> Vec<String> {
    match Topology::create(declaration) {
        Ok(topology) => panic!("accepted: {topology:?}"),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn faults_are_named() {
    let cases: Vec<(Declaration, &str)> = vec![
        (Declaration::default(), "no shard is declared"),
        (
            Declaration {
                shards: vec![Shard::new("a"), Shard::new("a")],
                ..Declaration::default()
            },
            "shard \"a\" is declared twice",
        ),
        (
            Declaration {
                shards: vec![Shard::new("")],
                ..Declaration::default()
            },
            "a shard's name is empty",
        ),
        (
            Declaration {
                shards: shards(&[0]),
                ..Declaration::default()
            },
            "shard \"s0\" has weight 0; it must be 1 to 100",
        ),
        (
            Declaration {
                shards: shards(&[1; 129]),
                ..Declaration::default()
            },
            "more than 128 shards, retired ones counted",
        ),
        (
            Declaration {
                home: Some("x".to_owned()),
                shards: shards(&[1]),
                ..Declaration::default()
            },
            "home names shard \"x\", which is not declared",
        ),
        (
            with_keyspace(hash("k", KeyType::Int8, 0), &[1]),
            "keyspace \"k\" has 0 buckets; it must have 1 to 65536",
        ),
        (
            with_keyspace(hash("k", KeyType::Int8, 65_537), &[1]),
            "keyspace \"k\" has 65537 buckets; it must have 1 to 65536",
        ),
        (
            with_keyspace(range("k", KeyType::Int8, &[]), &[1]),
            "keyspace \"k\" has no ranges",
        ),
        (
            with_keyspace(range("k", KeyType::Int8, &[("10", "s0"), ("10", "s0")]), &[1]),
            "keyspace \"k\", range 1: its bound 10 does not lie above 10, the one before it",
        ),
        (
            with_keyspace(
                range("k", KeyType::Numeric, &[("2", "s0"), ("1.5", "s0"), ("", "s0")]),
                &[1],
            ),
            "keyspace \"k\", range 1: its bound 1.5 does not lie above 2, the one before it",
        ),
        (
            with_keyspace(range("k", KeyType::Int8, &[("", "s0"), ("10", "s0")]), &[1]),
            "keyspace \"k\", range 0: only the last range may lack a bound",
        ),
        (
            with_keyspace(range("k", KeyType::Int8, &[("10", "s7")]), &[1]),
            "keyspace k, range 0, names shard \"s7\", which is not declared",
        ),
        (
            with_keyspace(range("k", KeyType::Int4, &[("ten", "s0")]), &[1]),
            "keyspace \"k\", range 0: \"ten\" is no bound: invalid input syntax for type int: \"ten\"",
        ),
        (
            with_keyspace(range("k", KeyType::Timestamptz, &[("2026-01-01", "s0")]), &[1]),
            "keyspace \"k\", range 0: \"2026-01-01\" is no bound: cannot tell here what Postgres reads as timestamptz: only \
             the unambiguous ISO form is read, for timestamptz with an offset",
        ),
        (
            with_keyspace(range("k", KeyType::Bpchar, &[("a", "s0")]), &[1]),
            "keyspace \"k\": keys of type char can't be placed by range",
        ),
        (
            with_keyspace(category("k", lookup(), &[], &[]), &[1]),
            "keyspace \"k\" has neither categories nor a default",
        ),
        (
            with_keyspace(category("k", lookup(), &[("a", &["s0"]), ("a", &["s0"])], &[]), &[1]),
            "keyspace \"k\" lists category \"a\" twice",
        ),
        (
            with_keyspace(category("k", lookup(), &[("a", &[])], &[]), &[1]),
            "keyspace \"k\": category \"a\" names no shard",
        ),
        (
            with_keyspace(category("k", lookup(), &[("a", &["s0", "s0"])], &[]), &[1]),
            "keyspace \"k\": category \"a\" names shard \"s0\" twice",
        ),
        (
            with_keyspace(category("k", by_key(&[("x", "b")]), &[("a", &["s0"])], &[]), &[1]),
            "keyspace \"k\": key \"x\" has category \"b\", which is not listed, and there is no default",
        ),
        (
            Declaration {
                tables: BTreeMap::new(),
                ..with_keyspace(category("k", lookup(), &[("a", &["s0"])], &[]), &[1])
            },
            "keyspace \"k\" looks categories up in instruments, which is not declared as a reference table",
        ),
        (
            Declaration {
                shards: shards(&[1]),
                tables: BTreeMap::from([(QualifiedName::public("t"), sharded("none", "id"))]),
                ..Declaration::default()
            },
            "table t names keyspace \"none\", which is not declared",
        ),
        (
            Declaration {
                shards: shards(&[1]),
                keyspaces: vec![hash("k", KeyType::Int8, 4), hash("k", KeyType::Int8, 4)],
                ..Declaration::default()
            },
            "keyspace \"k\" is declared twice",
        ),
    ];
    for (declaration, expected) in cases {
        assert_eq!(errors(&declaration), [expected]);
    }
    let mut numeric = category("k", CategorySource::Key, &[("1", &["s0"])], &[]);
    numeric.key_type = KeyType::Numeric;
    assert_eq!(
        errors(&with_keyspace(numeric, &[1])),
        ["keyspace \"k\": keys of type numeric can't be placed by category without a lookup table"]
    );
    let mut doubled = category("k", by_key(&[("1", "a"), ("01", "a")]), &[("a", &["s0"])], &[]);
    doubled.key_type = KeyType::Int4;
    assert_eq!(
        errors(&with_keyspace(doubled, &[1])),
        ["keyspace \"k\" lists key \"1\" twice"]
    );
}

#[test]
fn all_faults_come_at_once() {
    let mut declaration = with_keyspace(range("k", KeyType::Int4, &[("ten", "s0"), ("20", "s9")]), &[1]);
    declaration.home = Some("nowhere".to_owned());
    declaration
        .tables
        .insert(QualifiedName::public("t"), DeclaredTable::Unsharded("s8".to_owned()));
    assert_eq!(errors(&declaration).len(), 4, "{:?}", errors(&declaration));
}

// === the config declares, the store remembers ===

fn next(stored: &Topology, declaration: &Declaration) -> Topology {
    match stored.evolve(declaration) {
        Ok(Evolved::Next(topology)) => topology,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_equal_or_shorter_declaration_changes_nothing() {
    let stored = create(&trading());
    assert_eq!(stored.evolve(&trading()), Ok(Evolved::Unchanged));
    let silent = Declaration {
        shards: trading().shards,
        ..Declaration::default()
    };
    assert_eq!(stored.evolve(&silent), Ok(Evolved::Unchanged));
    let mut reordered = trading();
    reordered.shards.reverse();
    reordered.keyspaces.reverse();
    assert_eq!(stored.evolve(&reordered), Ok(Evolved::Unchanged));
}

#[test]
fn what_is_new_becomes_the_next_epoch() {
    let stored = create(&trading());
    let mut declaration = trading();
    declaration.shards.push(Shard {
        weight: 3,
        ..Shard::new("s4")
    });
    declaration.shards[1].weight = 5;
    declaration.keyspaces.push(hash("account", KeyType::Uuid, 32));
    declaration
        .tables
        .insert(QualifiedName::public("accounts"), sharded("account", "id"));
    declaration
        .functions
        .insert(QualifiedName::new("billing", "audit"), FunctionClass::Local);
    declaration.default_shard = Some("s4".to_owned());
    let topology = next(&stored, &declaration);
    assert_eq!(topology.epoch().get(), 2);
    assert_eq!(topology.shards()[1].weight, 5);
    assert_eq!(topology.shard_by_name("s4"), Some(id(4)));
    assert_eq!(topology.default_shard(), Some(id(4)));
    assert_eq!(
        topology.function(&QualifiedName::new("billing", "audit")),
        Some(FunctionClass::Local)
    );
    // A new shard changes no placement that is stored, but new keyspaces use it.
    assert_eq!(topology.keyspace_by_name("user"), stored.keyspace_by_name("user"));
    assert!(topology.keyspace_by_name("account").unwrap().1.shards().contains(id(4)));
    assert!(topology.table(&QualifiedName::public("accounts")).is_some());
    assert_eq!(topology.evolve(&declaration), Ok(Evolved::Unchanged));
}

#[test]
fn ranges_grow_only_behind_a_closed_end() {
    let closed = |ranges: &[(&str, &str)]| with_keyspace(range("r", KeyType::Int8, ranges), &[1, 1]);
    let stored = create(&closed(&[("10", "s0"), ("20", "s1")]));
    let grown = next(
        &stored,
        &closed(&[("10", "s0"), ("20", "s1"), ("30", "s0"), ("", "s1")]),
    );
    assert_eq!(only_keyspace(&grown).bucket_count(), 4);
    assert_eq!(stored.evolve(&closed(&[("10", "s0")])), Ok(Evolved::Unchanged));
    for (ranges, expected) in [
        (
            &[("10", "s0"), ("25", "s1")][..],
            "keyspace r, range 1: its bound is 20 where rows already lie, but the config says 25",
        ),
        (
            &[("10", "s0"), ("", "s1")],
            "keyspace r, range 1: its bound is 20 where rows already lie, but the config says open",
        ),
        (
            &[("10", "s1"), ("20", "s1")],
            "keyspace r, range 0: its shard is s0 where rows already lie, but the config says s1",
        ),
    ] {
        assert_eq!(contradictions(&stored, &closed(ranges)), [expected]);
    }
    let open = create(&closed(&[("10", "s0"), ("", "s1")]));
    assert_eq!(
        contradictions(&open, &closed(&[("10", "s0"), ("20", "s1"), ("", "s0")])),
        ["keyspace r, range 1: its bound is open where rows already lie, but the config says 20"]
    );
}

fn contradictions(stored: &Topology, declaration: &Declaration) -> Vec<String> {
    match stored.evolve(declaration) {
        Ok(evolved) => panic!("accepted: {evolved:?}"),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn contradictions_name_both_sides() {
    let stored = create(&Declaration {
        default_shard: Some("s1".to_owned()),
        ..trading()
    });
    let changed = |change: &dyn Fn(&mut Declaration)| {
        let mut declaration = trading();
        change(&mut declaration);
        declaration
    };
    let table = |declaration: &mut Declaration, name: &str, table| {
        declaration.tables.insert(QualifiedName::public(name), table);
    };
    let cases: Vec<(Declaration, &str)> = vec![
        (
            changed(&|declaration| declaration.keyspaces[0] = hash("user", KeyType::Int8, 512)),
            "keyspace user: its bucket count is 1024 where rows already lie, but the config says 512",
        ),
        (
            changed(&|declaration| declaration.keyspaces[0] = hash("user", KeyType::Text, 1024)),
            "keyspace user: its key type is bigint where rows already lie, but the config says text",
        ),
        (
            changed(&|declaration| declaration.keyspaces[0] = range("user", KeyType::Int8, &[("", "s0")])),
            "keyspace user: its strategy is hash where rows already lie, but the config says range",
        ),
        (
            changed(&|declaration| {
                declaration.keyspaces[2] = category("instrument", lookup(), &[("fx_major", &["s1"])], &["s3"]);
            }),
            "keyspace instrument, category fx_major: its place is s0 where rows already lie, but the config says s1",
        ),
        (
            changed(&|declaration| {
                declaration.keyspaces[2] = category("instrument", lookup(), &[("metal", &["s1"])], &["s3"]);
            }),
            "keyspace instrument, category metal: its place is s3 (by default) where rows already lie, but the config says s1",
        ),
        (
            changed(&|declaration| {
                declaration.keyspaces[2] = category("instrument", lookup(), &[("equity", &["s3", "s1"])], &["s3"]);
            }),
            "keyspace instrument, category equity: its place is s1, s3 where rows already lie, but the config says s3, s1",
        ),
        (
            changed(&|declaration| {
                declaration.keyspaces[2] =
                    category("instrument", CategorySource::Key, &[("fx_major", &["s0"])], &["s3"]);
            }),
            "keyspace instrument: its source of categories is table instruments (symbol, category) where rows already lie, \
             but the config says the key itself",
        ),
        (
            changed(&|declaration| table(declaration, "orders", sharded("user", "id"))),
            "table orders: its placement is keyspace user by user_id where rows already lie, but the config says keyspace \
             user by id",
        ),
        (
            changed(&|declaration| table(declaration, "orders", DeclaredTable::Reference)),
            "table orders: its placement is keyspace user by user_id where rows already lie, but the config says reference",
        ),
        (
            changed(&|declaration| table(declaration, "audit_log", DeclaredTable::Unsharded("s2".to_owned()))),
            "table audit_log: its placement is unsharded on s0 where rows already lie, but the config says unsharded on s2",
        ),
        (
            changed(&|declaration| declaration.home = Some("s1".to_owned())),
            "home: its shard is s0 where rows already lie, but the config says s1",
        ),
        (
            changed(&|declaration| declaration.default_shard = Some("s2".to_owned())),
            "default_shard: its shard is s1 where rows already lie, but the config says s2",
        ),
    ];
    for (declaration, expected) in cases {
        assert_eq!(contradictions(&stored, &declaration), [expected]);
        let Err(errors) = stored.evolve(&declaration) else {
            panic!()
        };
        assert!(errors.iter().all(|error| error.hint().is_some()));
        assert!(matches!(errors[0], TopologyError::Contradiction { .. }));
    }
    assert_ne!(Aspect::Home, Aspect::DefaultShard);
}

#[test]
fn a_category_may_come_where_no_row_can_lie_elsewhere() {
    let declared = |categories: &[(&str, &[&str])], default: &[&str]| {
        with_keyspace(category("k", lookup(), categories, default), &[1, 1, 1])
    };
    let stored = create(&declared(&[("a", &["s0"])], &[]));
    let more = next(&stored, &declared(&[("b", &["s1", "s2"]), ("a", &["s0"])], &["s2"]));
    let names: Vec<String> = only_keyspace(&more)
        .buckets()
        .into_iter()
        .map(|bucket| bucket.name)
        .collect();
    assert_eq!(names, ["a", "b/0", "b/1", "(default)"]);
    // By default c lies on s2 already: naming it there changes nothing for its rows.
    let same_place = next(&more, &declared(&[("c", &["s2"])], &[]));
    let names: Vec<String> = only_keyspace(&same_place)
        .buckets()
        .into_iter()
        .map(|bucket| bucket.name)
        .collect();
    assert_eq!(names, ["a", "b/0", "b/1", "(default)", "c"]);

    let listed = |listed: &[(&str, &str)]| {
        with_keyspace(
            category("k", by_key(listed), &[("a", &["s0"]), ("b", &["s1"])], &[]),
            &[1, 1],
        )
    };
    let stored = create(&listed(&[("x", "a")]));
    let more = next(&stored, &listed(&[("y", "b")]));
    let place_of = |key: &str| place(only_keyspace(&more), &Key::Text(key.as_bytes().to_vec())).shard;
    assert_eq!((place_of("x"), place_of("y")), (id(0), id(1)));
    assert_eq!(
        contradictions(&stored, &listed(&[("x", "b")])),
        ["keyspace k, key x: its category is a where rows already lie, but the config says b"]
    );
}

#[test]
fn shards_leave_only_empty_handed_and_never_return() {
    let mut declaration = trading();
    declaration.shards.push(Shard::new("spare"));
    // Only s0 to s3 own anything: the ring would have given the spare some, so declare it later.
    let stored = next(&create(&trading()), &declaration);
    assert_eq!(stored.all_shards(), ShardSet::all(5));
    let retired = next(&stored, &trading());
    assert_eq!(retired.all_shards(), ShardSet::all(4));
    assert_eq!(retired.shards()[4].state, ShardState::Retired);
    assert_eq!(retired.shard_by_name("spare"), None);
    assert_eq!(Topology::from_json(&retired.to_json().unwrap()), Ok(retired.clone()));
    assert_eq!(
        contradictions(&retired, &declaration),
        ["shard \"spare\" was retired and can't come back under its old name"]
    );
    // The next one gets a number of its own.
    declaration.shards[4].name = "spare2".to_owned();
    assert_eq!(next(&retired, &declaration).shard_by_name("spare2"), Some(id(5)));

    let without = |name: &str| {
        let mut declaration = Declaration {
            shards: trading().shards,
            ..Declaration::default()
        };
        declaration.shards.retain(|shard| shard.name != name);
        declaration
    };
    assert_eq!(
        contradictions(&stored, &without("s0")),
        ["shard \"s0\" is not declared any more, but it is home and holds the topology"]
    );
    assert_eq!(
        contradictions(&stored, &without("s3")),
        ["shard \"s3\" is not declared any more, but owns buckets of keyspace \"user\""]
    );
    let unsharded = |declared: &[u32]| Declaration {
        shards: shards(declared),
        tables: BTreeMap::from([(QualifiedName::public("t"), DeclaredTable::Unsharded("s1".to_owned()))]),
        ..Declaration::default()
    };
    let mut silent = unsharded(&[1]);
    silent.tables.clear();
    assert_eq!(
        contradictions(&create(&unsharded(&[1, 1])), &silent),
        ["shard \"s1\" is not declared any more, but table t lives there"]
    );
}

#[test]
fn an_integer_key_may_widen() {
    let stored = create(&with_keyspace(hash("k", KeyType::Int4, 64), &[1, 1]));
    let wider = next(&stored, &with_keyspace(hash("k", KeyType::Int8, 64), &[1, 1]));
    assert_eq!(only_keyspace(&wider).key_type(), KeyType::Int8);
    assert_eq!(owners(&wider), owners(&stored));
}

#[test]
fn documents_are_read_strictly() {
    let document = create(&trading()).to_json().unwrap();
    assert!(
        document.starts_with("{\"version\":1,\"epoch\":1,\"home\":0,"),
        "{document}"
    );
    for (from, to, expected) in [
        (
            "\"version\":1",
            "\"version\":2",
            "its version is 2, this program reads 1",
        ),
        ("\"epoch\":1", "\"epoch\":0", "its epoch is 0"),
        ("\"home\":0", "\"home\":4", "there is no shard 4"),
        ("\"home\":0", "\"home\":0,\"extra\":1", "unknown field `extra`"),
        ("\"default_shard\":null", "\"default_shard\":9", "there is no shard 9"),
        ("{\"name\":\"s1\"", "{\"name\":\"s0\"", "two shards have one name"),
        ("\"weight\":2", "\"weight\":0", "weight 0"),
        (
            "\"serving\"},{\"name\":\"s1\"",
            "\"retired\"},{\"name\":\"s1\"",
            "shard 0 is retired but owns something",
        ),
        ("\"type\":\"bigint\"", "\"type\":\"money\"", "key type \"money\""),
        (
            "\"until\":\"2026-07-01 00:00:00+00\"",
            "\"until\":\"2026-01-01 00:00:00+00\"",
            "don't ascend",
        ),
        (
            "\"until\":\"2026-07-01 00:00:00+00\"",
            "\"until\":null",
            "open before the last",
        ),
        (
            "\"until\":\"2026-07-01 00:00:00+00\"",
            "\"until\":\"soon\"",
            "cannot tell here",
        ),
        ("\"name\":\"fx_exotic\"", "\"name\":\"fx_major\"", "doubled"),
        ("\"name\":\"time\"", "\"name\":\"user\"", "two keyspaces have one name"),
        ("\"keyspace\":0", "\"keyspace\":7", "names keyspace 7"),
        ("\"name\":\"orders\"", "\"name\":\"users\"", "stands there twice"),
        ("\"table\":\"instruments\"", "\"table\":\"users\"", "no reference table"),
        ("\"class\":\"pure\"", "\"class\":\"odd\"", "unknown variant `odd`"),
    ] {
        assert!(document.contains(from), "{from} in {document}");
        let error = Topology::from_json(&document.replacen(from, to, 1))
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{from} → {to}: {error}");
    }
    assert!(Topology::from_json("").is_err());
    assert!(Topology::from_json(&document[..document.len() - 1]).is_err());
}
