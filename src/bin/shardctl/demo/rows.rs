//! The rows of the sharded tables: the same in every run, made one by one.

use std::fmt::Write as _;

use shardgate::value::Key;

use super::dice::Dice;
use super::places::EPOCH_2000_SECONDS;
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
    Text(&'static str),
    /// first and last name
    Name(&'static str, &'static str),
    /// a hundredth
    Cents(i64),
    /// a hundred-thousandth
    Price(i64),
    /// seconds since 2000
    Moment(i64),
}

impl Cell {
    /// Appends it as COPY reads it.
    pub(super) fn write(&self, out: &mut String) {
        // Writing to a String can't fail; what is written needs no escaping.
        match self {
            Cell::Int(value) => write!(out, "{value}").ok(),
            Cell::Text(text) => write!(out, "{text}").ok(),
            Cell::Name(first, last) => write!(out, "{first} {last}").ok(),
            Cell::Cents(value) => write!(out, "{value}e-2").ok(),
            Cell::Price(value) => write!(out, "{value}e-5").ok(),
            Cell::Moment(seconds) => {
                write!(out, "{}", Key::Timestamptz(seconds.saturating_mul(1_000_000)).to_text()).ok()
            }
        };
    }
}

/// A sharded table.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) rows: u64,
    /// the statement that takes its rows
    pub(super) copy: &'static str,
    /// row number (from 0) → columns
    pub(super) make: fn(&mut Dice, i64) -> Vec<Cell>,
}

/// In the order of their foreign keys.
pub(super) const TABLES: [Table; 4] = [
    Table {
        name: "users",
        rows: 20_000,
        copy: "COPY users (id, name, currency, balance, joined_at) FROM STDIN",
        make: user,
    },
    Table {
        name: "orders",
        rows: ORDERS,
        copy: "COPY orders (user_id, id, instrument, side, quantity, price, placed_at) FROM STDIN",
        make: order,
    },
    Table {
        name: "trades",
        rows: TRADES,
        copy: "COPY trades (instrument, id, quantity, price, at) FROM STDIN",
        make: trade,
    },
    Table {
        name: "events",
        rows: EVENTS,
        copy: "COPY events (at, id, user_id, kind) FROM STDIN",
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

fn text(of: Option<&&'static str>) -> Cell {
    Cell::Text(of.copied().unwrap_or_default())
}

fn user(dice: &mut Dice, number: i64) -> Vec<Cell> {
    let first = dice.pick(&FIRST_NAMES).copied().unwrap_or_default();
    let last = dice.pick(&LAST_NAMES).copied().unwrap_or_default();
    vec![
        Cell::Int(number.saturating_add(1)),
        Cell::Name(first, last),
        text(dice.pick(&CURRENCIES)),
        Cell::Cents(dice.between(0, 5_000_000)),
        Cell::Moment(moment(dice).saturating_sub(YEAR_SECONDS)),
    ]
}

fn order(dice: &mut Dice, number: i64) -> Vec<Cell> {
    let user = dice.between(1, USERS);
    let of = instrument(dice);
    vec![
        Cell::Int(user),
        Cell::Int(number.saturating_add(1)),
        Cell::Text(of.symbol),
        text(dice.pick(&["buy", "sell"])),
        Cell::Int(dice.between(1, 1_000)),
        Cell::Price(price_e5(dice, of)),
        Cell::Moment(moment(dice)),
    ]
}

fn trade(dice: &mut Dice, number: i64) -> Vec<Cell> {
    let of = instrument(dice);
    vec![
        Cell::Text(of.symbol),
        Cell::Int(number.saturating_add(1)),
        Cell::Int(dice.between(1, 1_000)),
        Cell::Price(price_e5(dice, of)),
        Cell::Moment(moment(dice)),
    ]
}

fn event(dice: &mut Dice, number: i64) -> Vec<Cell> {
    vec![
        Cell::Moment(moment(dice)),
        Cell::Int(number.saturating_add(1)),
        Cell::Int(dice.between(1, USERS)),
        text(dice.pick(&EVENT_KINDS)),
    ]
}
