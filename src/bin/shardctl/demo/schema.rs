//! The trading schema, and the small tables that every shard has in full.

/// Roles and database, on a fresh cluster; each statement for itself, as CREATE DATABASE wants it.
pub(super) const ROLES: [&str; 3] = [
    "CREATE ROLE shardgate LOGIN SUPERUSER",
    "CREATE ROLE app LOGIN",
    "CREATE DATABASE trading OWNER app",
];

/// The tables, and the rows of `currencies`, through the proxy: each on the shards that it belongs to.
pub(super) const TABLES: &str = include_str!("schema.sql");

/// A table on the home shard only, through the proxy.
pub(super) const UNSHARDED: &str = "
CREATE TABLE audit_log (
  id bigint PRIMARY KEY,
  at timestamptz NOT NULL,
  who text NOT NULL,
  what text NOT NULL
);
INSERT INTO audit_log
SELECT n, timestamptz '2026-01-01 09:00:00+00' + n * interval '7 hours', 'operator ' || 1 + n % 5,
       CASE n % 3 WHEN 0 THEN 'login' WHEN 1 THEN 'limit changed' ELSE 'report printed' END
FROM generate_series(1, 1000) n;";

/// One tradable thing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Instrument {
    pub(super) symbol: &'static str,
    pub(super) category: &'static str,
    pub(super) name: &'static str,
    /// its usual price, in hundred-thousandths
    pub(super) price_e5: i64,
}

const fn instrument(symbol: &'static str, category: &'static str, name: &'static str, price_e5: i64) -> Instrument {
    Instrument {
        symbol,
        category,
        name,
        price_e5,
    }
}

/// The content of `instruments`; `crypto` is a category that the configuration doesn't list.
pub(super) const INSTRUMENTS: [Instrument; 28] = [
    instrument("EURUSD", "fx_major", "Euro / US dollar", 108_420),
    instrument("USDJPY", "fx_major", "US dollar / Japanese yen", 14_912_000),
    instrument("GBPUSD", "fx_major", "Pound sterling / US dollar", 127_350),
    instrument("USDCHF", "fx_major", "US dollar / Swiss franc", 88_140),
    instrument("AUDUSD", "fx_major", "Australian dollar / US dollar", 65_280),
    instrument("USDCAD", "fx_major", "US dollar / Canadian dollar", 135_760),
    instrument("NZDUSD", "fx_major", "New Zealand dollar / US dollar", 60_910),
    instrument("USDTRY", "fx_exotic", "US dollar / Turkish lira", 3_215_400),
    instrument("EURPLN", "fx_exotic", "Euro / Polish zloty", 431_200),
    instrument("USDZAR", "fx_exotic", "US dollar / South African rand", 1_865_300),
    instrument("USDMXN", "fx_exotic", "US dollar / Mexican peso", 1_708_800),
    instrument("USDTHB", "fx_exotic", "US dollar / Thai baht", 3_541_000),
    instrument("ACME", "equity", "Acme Corporation", 18_450_000),
    instrument("BLUE", "equity", "Blue Harbour Shipping", 4_210_000),
    instrument("CIRC", "equity", "Circuit Works", 31_275_000),
    instrument("DOVE", "equity", "Dovetail Furniture", 2_745_000),
    instrument("EAST", "equity", "Eastern Rail", 6_690_000),
    instrument("FERN", "equity", "Fern Foods", 5_120_000),
    instrument("GLAS", "equity", "Glasshouse Optics", 9_930_000),
    instrument("HILL", "equity", "Hillside Energy", 7_405_000),
    instrument("IRON", "equity", "Ironbridge Steel", 3_860_000),
    instrument("JADE", "equity", "Jade Software", 22_015_000),
    instrument("KITE", "equity", "Kite Airways", 1_580_000),
    instrument("LARK", "equity", "Lark Media", 4_995_000),
    instrument("BTCUSD", "crypto", "Bitcoin / US dollar", 6_430_000_000),
    instrument("ETHUSD", "crypto", "Ether / US dollar", 311_500_000),
    instrument("SOLUSD", "crypto", "Solana / US dollar", 14_560_000),
    instrument("XAUUSD", "metal", "Gold / US dollar", 234_150_000),
];

/// The statement that fills `instruments`.
pub(super) fn insert_instruments() -> String {
    let rows: Vec<String> = INSTRUMENTS
        .iter()
        .map(|one| format!("('{}', '{}', '{}')", one.symbol, one.category, one.name))
        .collect();
    format!(
        "INSERT INTO instruments (symbol, category, name) VALUES {}",
        rows.join(", ")
    )
}
