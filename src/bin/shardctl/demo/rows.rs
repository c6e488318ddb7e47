//! The rows of the sharded tables: the same in every run, made one by one.

use super::dice::Dice;
use super::places::{DemoKey, EPOCH_2000_SECONDS};
use super::schema::{INSTRUMENTS, Instrument};

/// How many users there are; their ids are 1 to this.
pub(super) const USERS: i64 = 20_000;
const ORDERS: u64 = 100_000;
const TRADES: u64 = 150_000;
const EVENTS: u64 = 60_000;

/// 2026-01-01T00:00:00Z and the seconds of that year.
const YEAR_START: i64 = 1_767_225_600 - EPOCH_2000_SECONDS;
const YEAR_SECONDS: i64 = 365 * 86_400;

const CURRENCIES: [&str; 8] = ["EUR", "USD", "GBP", "JPY", "CHF", "PLN", "TRY", "ZAR"];
const FIRST_NAMES: [&str; 12] = [
    "Ada", "Bruno", "Chiara", "Deniz", "Elif", "Farah", "Goran", "Hana", "Ivo", "Jun", "Kofi", "Lena",
];
const LAST_NAMES: [&str; 10] = [
    "Almeida", "Brandt", "Castro", "Dubois", "Eriksen", "Fischer", "Gruber", "Horvat", "Ivanova", "Jansen",
];
/// What an event may be.
pub(super) const EVENT_KINDS: [&str; 4] = ["login", "quote", "alert", "logout"];

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Int(i64),
    Text(String),
}

/// A sharded table.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) rows: u64,
    /// takes one array per column
    pub(super) insert: &'static str,
    /// row number (from 0) → key and columns
    pub(super) make: fn(&mut Dice, i64) -> (DemoKey, Vec<Cell>),
}

/// In the order of their foreign keys.
pub(super) const TABLES: [Table; 4] = [
    Table {
        name: "users",
        rows: 20_000,
        insert: "INSERT INTO users (id, name, currency, balance, joined_at) \
                 SELECT id, name, currency, cents * 0.01, timestamptz '2000-01-01 00:00:00+00' + at * interval '1 second' \
                 FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[]) \
                 AS row(id, name, currency, cents, at)",
        make: user,
    },
    Table {
        name: "orders",
        rows: ORDERS,
        insert: "INSERT INTO orders (user_id, id, instrument, side, quantity, price, placed_at) \
                 SELECT user_id, id, instrument, side, quantity, price * 0.00001, \
                 timestamptz '2000-01-01 00:00:00+00' + at * interval '1 second' \
                 FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[]) \
                 AS row(user_id, id, instrument, side, quantity, price, at)",
        make: order,
    },
    Table {
        name: "trades",
        rows: TRADES,
        insert: "INSERT INTO trades (instrument, id, quantity, price, at) \
                 SELECT instrument, id, quantity, price * 0.00001, \
                 timestamptz '2000-01-01 00:00:00+00' + at * interval '1 second' \
                 FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) \
                 AS row(instrument, id, quantity, price, at)",
        make: trade,
    },
    Table {
        name: "events",
        rows: EVENTS,
        insert: "INSERT INTO events (at, id, user_id, kind) \
                 SELECT timestamptz '2000-01-01 00:00:00+00' + at * interval '1 second', id, user_id, kind \
                 FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[]) AS row(at, id, user_id, kind)",
        make: event,
    },
];

/// A moment of the demo's year, in seconds since 2000.
pub(super) fn moment(dice: &mut Dice) -> i64 {
    YEAR_START.saturating_add(dice.between(0, YEAR_SECONDS - 1))
}

/// An instrument; the major pairs take seven of eight.
pub(super) fn instrument(dice: &mut Dice) -> Instrument {
    const MAJORS: usize = 7;
    let (majors, others) = INSTRUMENTS.split_at(MAJORS);
    let from = if dice.below(8) < 7 { majors } else { others };
    dice.pick(from).copied().unwrap_or(INSTRUMENTS[0])
}

/// A price near an instrument's usual one, in hundred-thousandths.
pub(super) fn price_e5(dice: &mut Dice, instrument: Instrument) -> i64 {
    let spread = instrument.price_e5.checked_div(100).unwrap_or(0).max(1);
    instrument.price_e5.saturating_add(dice.between(-spread, spread))
}

fn text(of: Option<&&str>) -> Cell {
    Cell::Text(of.map_or_else(String::new, |text| (*text).to_owned()))
}

fn user(dice: &mut Dice, number: i64) -> (DemoKey, Vec<Cell>) {
    let id = number.saturating_add(1);
    let first = dice.pick(&FIRST_NAMES).copied().unwrap_or_default();
    let last = dice.pick(&LAST_NAMES).copied().unwrap_or_default();
    let columns = vec![
        Cell::Int(id),
        Cell::Text(format!("{first} {last}")),
        text(dice.pick(&CURRENCIES)),
        Cell::Int(dice.between(0, 5_000_000)),
        Cell::Int(moment(dice).saturating_sub(YEAR_SECONDS)),
    ];
    (DemoKey::User(id), columns)
}

fn order(dice: &mut Dice, number: i64) -> (DemoKey, Vec<Cell>) {
    let user = dice.between(1, USERS);
    let of = instrument(dice);
    let columns = vec![
        Cell::Int(user),
        Cell::Int(number.saturating_add(1)),
        Cell::Text(of.symbol.to_owned()),
        text(dice.pick(&["buy", "sell"])),
        Cell::Int(dice.between(1, 1_000)),
        Cell::Int(price_e5(dice, of)),
        Cell::Int(moment(dice)),
    ];
    (DemoKey::User(user), columns)
}

fn trade(dice: &mut Dice, number: i64) -> (DemoKey, Vec<Cell>) {
    let of = instrument(dice);
    let columns = vec![
        Cell::Text(of.symbol.to_owned()),
        Cell::Int(number.saturating_add(1)),
        Cell::Int(dice.between(1, 1_000)),
        Cell::Int(price_e5(dice, of)),
        Cell::Int(moment(dice)),
    ];
    (DemoKey::Instrument(of.symbol), columns)
}

fn event(dice: &mut Dice, number: i64) -> (DemoKey, Vec<Cell>) {
    let at = moment(dice);
    let columns = vec![
        Cell::Int(at),
        Cell::Int(number.saturating_add(1)),
        Cell::Int(dice.between(1, USERS)),
        text(dice.pick(&EVENT_KINDS)),
    ];
    (DemoKey::Moment(at), columns)
}
