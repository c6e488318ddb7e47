//! Clients of the demo: ordinary connections to the proxy that trade, mostly in major currency pairs.
//!
//! Holds: data stays bounded however long it runs (ids are used again, an INSERT that finds its row updates it); every
//! request is counted once, by what it was about and by the shard that the topology names.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use shardgate::backend::{Control, ControlClient, ControlError, ControlStatement};
use shardgate::clock::Clock;

use super::dice::Dice;
use super::pace::Pace;
use super::places::{DemoKey, EPOCH_2000_SECONDS, Places};
use super::rows::{EVENT_KINDS, USERS, instrument, moment, price_e5};
use super::tally::{Kind, Tally};

/// How many there are.
pub(super) const CLIENTS: u64 = 8;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const AFTER_ERROR: Duration = Duration::from_millis(200);

/// Above the ids of the loaded rows; each client's own follow one another.
const FIRST_ID: u64 = 1_000_000;
const IDS_PER_CLIENT: u64 = 2_000;

/// What every client knows.
#[derive(Clone, Debug)]
pub(super) struct Market {
    /// of the proxy
    pub(super) url: String,
    pub(super) places: Arc<Places>,
    pub(super) tally: Arc<Tally>,
    pub(super) pace: Arc<Pace>,
    pub(super) clock: Clock,
}

/// Works until it is dropped; connects again when its connection is gone.
pub(super) async fn client(market: Market, number: u64) {
    let mut dice = Dice::new(number);
    loop {
        let client = match Control::connect_url(&market.url, CONNECT_TIMEOUT).await {
            Ok(client) => client,
            Err(error) => {
                market.tally.fail(format!("connecting: {error}"));
                tokio::time::sleep(AFTER_ERROR).await;
                continue;
            }
        };
        let error = work(&market, &client, &mut dice, number).await;
        // What was done, and why it failed; deeper causes only say the same again.
        let words: Vec<String> = error.chain().take(2).map(ToString::to_string).collect();
        market.tally.fail(words.join(": ").replace('\n', " "));
        tokio::time::sleep(AFTER_ERROR).await;
    }
}

/// The texts of the requests, prepared once per connection.
struct Statements {
    trade: ControlStatement,
    trades: ControlStatement,
    orders: ControlStatement,
    pay: ControlStatement,
    order: ControlStatement,
    event: ControlStatement,
    events: ControlStatement,
    newest: ControlStatement,
    turnover: ControlStatement,
}

impl Statements {
    async fn prepare(client: &ControlClient) -> Result<Statements, ControlError> {
        Ok(Statements {
            trade: client
                .prepare(
                    "INSERT INTO trades (instrument, id, quantity, price, at) \
                     VALUES ($1, $2, $3, $4::bigint * 0.00001, $5) \
                     ON CONFLICT (instrument, id) DO UPDATE SET quantity = excluded.quantity, \
                     price = excluded.price, at = excluded.at",
                )
                .await?,
            trades: client
                .prepare(
                    "SELECT id, quantity, price::text, at FROM trades WHERE instrument = $1 ORDER BY at DESC LIMIT 10",
                )
                .await?,
            orders: client
                .prepare(
                    "SELECT u.name, o.id, o.instrument, o.quantity FROM users u JOIN orders o ON o.user_id = u.id \
                     WHERE u.id = $1 ORDER BY o.id DESC LIMIT 10",
                )
                .await?,
            pay: client
                .prepare("UPDATE users SET balance = balance + $2::bigint * 0.01 WHERE id = $1")
                .await?,
            order: client
                .prepare(
                    "INSERT INTO orders (user_id, id, instrument, side, quantity, price, placed_at) \
                     VALUES ($1, $2, $3, 'buy', $4, $5::bigint * 0.00001, $6) \
                     ON CONFLICT (user_id, id) DO UPDATE SET quantity = excluded.quantity",
                )
                .await?,
            event: client
                .prepare("INSERT INTO events (at, id, user_id, kind) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING")
                .await?,
            events: client
                .prepare("SELECT kind, count(*) FROM events WHERE at = $1 GROUP BY kind")
                .await?,
            newest: client
                .prepare("SELECT user_id, id, placed_at FROM orders ORDER BY placed_at DESC, id LIMIT 10")
                .await?,
            turnover: client
                .prepare("SELECT count(*), sum(quantity) FROM trades WHERE at >= $1")
                .await?,
        })
    }
}

/// One request after the other, until one fails.
async fn work(market: &Market, client: &ControlClient, dice: &mut Dice, number: u64) -> anyhow::Error {
    let statements = match Statements::prepare(client).await {
        Ok(statements) => statements,
        Err(error) => return error.into(),
    };
    let mut turn = 0_u64;
    loop {
        turn = turn.wrapping_add(1);
        let ids = number.saturating_mul(IDS_PER_CLIENT).saturating_add(FIRST_ID);
        let id = ids.saturating_add(turn.checked_rem(IDS_PER_CLIENT).unwrap_or(0));
        let request = Request {
            client,
            statements: &statements,
            id: i64::try_from(id).unwrap_or(i64::MAX),
        };
        market.pace.turn().await;
        let started = market.clock.now();
        match request.run(dice).await {
            Ok((kind, key)) => {
                let took = market.clock.now().saturating_duration_since(started);
                let shard = key.map(|key| market.places.shard(key)).transpose();
                match shard {
                    Ok(shard) => market.tally.add(kind, shard.map(|shard| shard.index()), took),
                    Err(error) => return error,
                }
            }
            Err(error) => return error,
        }
    }
}

/// One request about to be made.
struct Request<'a> {
    client: &'a ControlClient,
    statements: &'a Statements,
    id: i64,
}

/// What it was about, and the key that says its shard (`None`: all shards).
type Done = (Kind, Option<DemoKey>);

impl Request<'_> {
    /// The mix, in thousandths.
    async fn run(&self, dice: &mut Dice) -> Result<Done> {
        match dice.below(1_000) {
            0..500 => self.read_trades(dice).await.context("reading trades"),
            500..720 => self.write_trade(dice).await.context("writing a trade"),
            720..860 => self.read_orders(dice).await.context("reading a user's orders"),
            860..910 => self.place_order(dice).await.context("placing an order"),
            910..950 => self.write_event(dice).await.context("writing an event"),
            950..990 => self.read_events(dice).await.context("reading events"),
            990..998 => self.read_newest().await.context("reading the newest orders"),
            _ => self.read_turnover(dice).await.context("reading the turnover"),
        }
    }

    async fn read_trades(&self, dice: &mut Dice) -> Result<Done> {
        let of = instrument(dice);
        self.client
            .query(&self.statements.trades, &[&of.symbol])
            .await
            .map_err(ControlError::from)?;
        Ok((Kind::of_category(of.category), Some(DemoKey::Instrument(of.symbol))))
    }

    async fn write_trade(&self, dice: &mut Dice) -> Result<Done> {
        let of = instrument(dice);
        let (quantity, price, at) = (dice.between(1, 1_000), price_e5(dice, of), time_of(moment(dice)));
        self.client
            .execute(&self.statements.trade, &[&of.symbol, &self.id, &quantity, &price, &at])
            .await
            .map_err(ControlError::from)?;
        Ok((Kind::of_category(of.category), Some(DemoKey::Instrument(of.symbol))))
    }

    async fn read_orders(&self, dice: &mut Dice) -> Result<Done> {
        let user = dice.between(1, USERS);
        self.client
            .query(&self.statements.orders, &[&user])
            .await
            .map_err(ControlError::from)?;
        Ok((Kind::Users, Some(DemoKey::User(user))))
    }

    /// A transaction: it counts as one request.
    async fn place_order(&self, dice: &mut Dice) -> Result<Done> {
        let user = dice.between(1, USERS);
        let of = instrument(dice);
        let (quantity, price) = (dice.between(1, 100), price_e5(dice, of));
        let (cents, at) = (dice.between(-5_000, 5_000), time_of(moment(dice)));
        self.client.batch_execute("BEGIN").await.map_err(ControlError::from)?;
        self.client
            .execute(&self.statements.pay, &[&user, &cents])
            .await
            .map_err(ControlError::from)?;
        self.client
            .execute(
                &self.statements.order,
                &[&user, &self.id, &of.symbol, &quantity, &price, &at],
            )
            .await
            .map_err(ControlError::from)?;
        self.client.batch_execute("COMMIT").await.map_err(ControlError::from)?;
        Ok((Kind::Users, Some(DemoKey::User(user))))
    }

    async fn write_event(&self, dice: &mut Dice) -> Result<Done> {
        // A moment that follows from the id: so that ids that are used again find their rows.
        let seconds = moment(&mut Dice::new(u64::try_from(self.id).unwrap_or(0)));
        let (user, kind) = (
            dice.between(1, USERS),
            dice.pick(&EVENT_KINDS).copied().unwrap_or_default(),
        );
        self.client
            .execute(&self.statements.event, &[&time_of(seconds), &self.id, &user, &kind])
            .await
            .map_err(ControlError::from)?;
        Ok((Kind::Events, Some(DemoKey::Moment(seconds))))
    }

    async fn read_events(&self, dice: &mut Dice) -> Result<Done> {
        let seconds = moment(dice);
        self.client
            .query(&self.statements.events, &[&time_of(seconds)])
            .await
            .map_err(ControlError::from)?;
        Ok((Kind::Events, Some(DemoKey::Moment(seconds))))
    }

    async fn read_newest(&self) -> Result<Done> {
        self.client
            .query(&self.statements.newest, &[])
            .await
            .map_err(ControlError::from)?;
        Ok((Kind::Everywhere, None))
    }

    async fn read_turnover(&self, dice: &mut Dice) -> Result<Done> {
        let since = time_of(moment(dice));
        self.client
            .query(&self.statements.turnover, &[&since])
            .await
            .map_err(ControlError::from)?;
        Ok((Kind::Everywhere, None))
    }
}

/// Seconds since 2000 as a timestamptz parameter.
fn time_of(seconds: i64) -> SystemTime {
    let unix = u64::try_from(seconds.saturating_add(EPOCH_2000_SECONDS)).unwrap_or(0);
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_secs(unix))
        .unwrap_or(SystemTime::UNIX_EPOCH)
}
