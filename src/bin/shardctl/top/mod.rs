//! `shardctl top`: the load of the cluster, drawn anew every few seconds; keys choose the order.
//!
//! Holds: a terminal gets its settings back however this ends, but by a kill; without one, frames follow each other. A proxy
//! that goes away while a terminal watches is said, its last figures stay, and it is asked again until it is back.

mod keys;
mod terminal;
mod window;

use std::convert::Infallible;
use std::time::{Duration, Instant};

use shardgate::backend::ControlClient;
use shardgate::clock::Clock;
use tokio::sync::{mpsc, watch};

use crate::answer::Answer;
use crate::arguments::{Arguments, Output};
use crate::ask;
use crate::failure::Failure;
use crate::figures::span;
use crate::json;
use crate::load::{Sort, View, picture};
use crate::screen;
use crate::style::Style;
use keys::Key;
use terminal::{Terminal, Told};
use window::Window;

/// What `top` is asked for.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct TopOptions {
    /// What buckets are sorted by; in a terminal b, r, w, s, z and n change it
    #[arg(long, value_enum, default_value_t = Sort::Busy, value_name = "ORDER")]
    sort: Sort,
    /// Seconds between two frames
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS")]
    interval: f64,
    /// End after so many frames [default: none in a terminal, else 1]
    #[arg(long, value_name = "N")]
    count: Option<u32>,
    /// Buckets to show, at most [default: all in a terminal, else 20]
    #[arg(long, value_name = "N")]
    rows: Option<usize>,
    /// Show the keys that carry most load; in a terminal in place of buckets
    #[arg(long)]
    keys: bool,
}

const AFTER_HELP: &str = "\
In a terminal: b, r, w, s, z, n  order by busy, recent, wait, statements, size, name
               k                 heavy keys, or buckets again
               arrows, PgUp, PgDn, Home, End  scroll
               q or Ctrl-C       quit";

/// Buckets that are shown where frames follow each other.
const BUCKETS: usize = 20;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs until it is enough.
pub(crate) async fn run(arguments: &Arguments, options: &TopOptions) -> Result<(), Failure> {
    let interval = Duration::try_from_secs_f64(options.interval)
        .ok()
        .filter(|interval| *interval >= Duration::from_millis(100))
        .ok_or_else(|| Failure::new("--interval must be at least 0.1 seconds"))?;
    let client = ask::connect(arguments).await?;
    match arguments.output == Output::Table && screen::is_there() {
        true => Box::pin(live(arguments, options, client, interval)).await,
        false => follow(arguments, options, &client, interval).await,
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Load,
    KeysToo,
}

impl Wanted {
    fn by(options: &TopOptions) -> Wanted {
        match options.keys {
            true => Wanted::KeysToo,
            false => Wanted::Load,
        }
    }

    fn other(self) -> Wanted {
        match self {
            Wanted::Load => Wanted::KeysToo,
            Wanted::KeysToo => Wanted::Load,
        }
    }
}

/// SHOW LOAD, and SHOW KEYS if it was wanted.
struct Seen {
    load: Answer,
    keys: Option<Answer>,
}

async fn look(client: &ControlClient, wanted: Wanted) -> Result<Seen, Failure> {
    let ask = async |command| {
        let answer = ask::run(client, command).await;
        answer.map_err(|error| Failure::from_control(&error))
    };
    Ok(Seen {
        load: ask("SHOW LOAD").await?,
        keys: if wanted == Wanted::KeysToo {
            Some(ask("SHOW KEYS").await?)
        } else {
            None
        },
    })
}

// === one frame after the other ===

async fn follow(
    arguments: &Arguments,
    options: &TopOptions,
    client: &ControlClient,
    interval: Duration,
) -> Result<(), Failure> {
    let buckets = options.rows.unwrap_or(BUCKETS);
    let view = View {
        sort: options.sort,
        buckets,
        keys: buckets,
        ..View::whole(screen::columns(), Style::of_stdout())
    };
    let mut left = options.count.unwrap_or(1);
    loop {
        let seen = look(client, Wanted::by(options)).await?;
        crate::write(&match arguments.output {
            Output::Json => json::print(&seen.load)?,
            Output::Table => picture(&seen.load, seen.keys.as_ref(), view).to_text(),
        })?;
        left = left.saturating_sub(1);
        if left == 0 {
            return Ok(());
        }
        if arguments.output == Output::Table {
            crate::write("\n")?; // frames apart
        }
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}

// === on a terminal ===

async fn live(
    arguments: &Arguments,
    options: &TopOptions,
    client: ControlClient,
    interval: Duration,
) -> Result<(), Failure> {
    // First, so that a proxy that refuses is a failure like that of any other command.
    let seen = look(&client, Wanted::by(options)).await?;
    let (wanted, wants) = watch::channel(Wanted::by(options));
    let (sender, mut answers) = mpsc::channel(1);
    let mut asking = std::pin::pin!(ask_on(arguments, client, interval, wants, sender));
    let mut terminal = Terminal::enter()?;
    let mut live = Live {
        options,
        sort: options.sort,
        seen,
        since: Clock.now(),
        trouble: None,
        window: Window::default(),
    };
    let mut left = options.count;
    live.draw()?;
    loop {
        if left == Some(1) {
            return Ok(());
        }
        tokio::select! {
            never = asking.as_mut() => match never {},
            Some(answer) = answers.recv() => {
                live.hear(answer);
                left = left.map(|left| left.saturating_sub(1));
            }
            told = terminal.next() => match told? {
                Told::End => return Ok(()),
                Told::Anew => {}
                Told::Key(key) => {
                    live.press(key);
                    wanted.send_if_modified(|wanted| {
                        let is_toggled = key == Key::HeavyKeys;
                        if is_toggled {
                            *wanted = wanted.other();
                        }
                        is_toggled
                    });
                }
            },
        }
        live.draw()?;
    }
}

/// Looks for ever, on a new connection after each failure; at once when keys are wanted that weren't.
async fn ask_on(
    arguments: &Arguments,
    client: ControlClient,
    interval: Duration,
    mut wants: watch::Receiver<Wanted>,
    sender: mpsc::Sender<Result<Seen, Failure>>,
) -> Infallible {
    let mut client = Some(client);
    loop {
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            Ok(()) = wants.changed() => {}
        }
        let wanted = *wants.borrow_and_update();
        let looking = async {
            let connected = match client.take() {
                Some(client) => client,
                None => ask::connect(arguments).await?,
            };
            let seen = look(&connected, wanted).await?;
            client = Some(connected);
            Ok(seen)
        };
        let seen = tokio::time::timeout(PATIENCE, looking).await;
        let seen = seen.unwrap_or_else(|_| Err(Failure::new("it doesn't answer")));
        // Whoever listens ends before this does.
        sender.send(seen).await.ok();
    }
}

/// What is on the terminal.
struct Live<'a> {
    options: &'a TopOptions,
    sort: Sort,
    seen: Seen,
    /// when that was answered
    since: Instant,
    /// why there is no newer answer
    trouble: Option<String>,
    window: Window,
}

impl Live<'_> {
    fn hear(&mut self, answer: Result<Seen, Failure>) {
        match answer {
            Ok(seen) => {
                self.seen = seen;
                self.since = Clock.now();
                self.trouble = None;
            }
            Err(failure) => {
                let age = Clock.now().saturating_duration_since(self.since);
                self.trouble = Some(format!(
                    "no figures for {}: {}; asking again",
                    span(age.as_secs_f64()),
                    failure.message().lines().next().unwrap_or_default()
                ));
            }
        }
    }

    fn press(&mut self, key: Key) {
        match key {
            Key::Sort(sort) => self.sort = sort,
            Key::Scroll(to) => self.window.scroll(to),
            // Those that are shown go at once, others come with the next answer.
            Key::HeavyKeys => self.seen.keys = None,
            Key::Quit => {}
        }
    }

    fn draw(&mut self) -> Result<(), Failure> {
        let size = screen::size();
        let style = Style::of_stdout();
        let view = View {
            sort: self.sort,
            buckets: match self.seen.keys {
                Some(_) => 0,
                None => self.options.rows.unwrap_or(usize::MAX),
            },
            keys: self.options.rows.unwrap_or(usize::MAX),
            ..View::whole(size.columns.saturating_sub(1), style)
        };
        let picture = picture(&self.seen.load, self.seen.keys.as_ref(), view);
        let lines = self.window.lines(&picture, self.trouble.as_deref(), size, style);
        crate::write(&screen::painted(lines.iter().map(String::as_str)))
    }
}
