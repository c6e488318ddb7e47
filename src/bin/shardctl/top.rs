//! `shardctl top`: the load of the cluster, drawn anew every few seconds; keys choose the order.
//!
//! Holds: a terminal gets its settings back however this ends, but by a kill; without one, frames follow each other.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::time::Duration;

use rustix::termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use shardgate::backend::ControlClient;
use tokio::sync::mpsc;

use crate::answer::Answer;
use crate::arguments::{Arguments, Output};
use crate::ask;
use crate::failure::Failure;
use crate::json;
use crate::load::{Sort, View, frame};
use crate::style::Style;

/// What `top` is asked for.
#[derive(Clone, Copy, Debug, clap::Args)]
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
    /// Buckets to show, at most [default: as many as fit]
    #[arg(long, value_name = "N")]
    rows: Option<usize>,
    /// Show the keys that carry most load too
    #[arg(long)]
    keys: bool,
}

/// Buckets that are shown where nothing says how many fit.
const BUCKETS: usize = 20;

/// Lines of a frame that are no buckets, besides one for each shard and keyspace.
const OTHER_LINES: usize = 10;

/// Keys that are waited to be read.
const KEYS_WAITING: usize = 16;

const CLEAR: &str = "\x1b[H\x1b[2J";
const QUIT: &[u8] = b"q\x03\x04";

/// Runs until it is enough.
pub(crate) async fn run(arguments: &Arguments, options: &TopOptions) -> Result<(), Failure> {
    let interval = Duration::try_from_secs_f64(options.interval)
        .ok()
        .filter(|interval| *interval >= Duration::from_millis(100))
        .ok_or_else(|| Failure::new("--interval must be at least 0.1 seconds"))?;
    let screen = match arguments.output == Output::Table && std::io::stdout().is_terminal() {
        true => Screen::Terminal,
        false => Screen::Lines,
    };
    let client = ask::connect(arguments).await?;
    let mut left = options.count.or((screen == Screen::Lines).then_some(1));
    let terminal = (screen == Screen::Terminal).then(Raw::enter).flatten();
    let mut pressed = Pressed::of(terminal.as_ref());
    let mut sort = options.sort;
    loop {
        let load = ask::run(&client, "SHOW LOAD")
            .await
            .map_err(|error| Failure::from_control(&error))?;
        let text = match arguments.output {
            Output::Json => json::print(&load)?,
            Output::Table => {
                let keys = keys(&client, options).await?;
                let view = View {
                    sort,
                    buckets: options.rows.unwrap_or_else(|| fitting(screen, &load)),
                    style: Style::of_stdout(),
                };
                frame(&load, keys.as_ref(), view)
            }
        };
        draw(screen, &text)?;
        if screen == Screen::Lines && left != Some(1) && arguments.output == Output::Table {
            crate::write("\n")?; // frames apart
        }
        left = left.map(|left| left.saturating_sub(1));
        if left == Some(0) {
            return Ok(());
        }
        match wait(interval, &mut pressed).await {
            Next::Frame => {}
            Next::Sort(other) => sort = other,
            Next::End => return Ok(()),
        }
    }
}

async fn keys(client: &ControlClient, options: &TopOptions) -> Result<Option<Answer>, Failure> {
    if !options.keys {
        return Ok(None);
    }
    let keys = ask::run(client, "SHOW KEYS").await;
    keys.map(Some).map_err(|error| Failure::from_control(&error))
}

/// Where frames go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Screen {
    /// one over the other
    Terminal,
    /// one after the other
    Lines,
}

fn draw(screen: Screen, text: &str) -> Result<(), Failure> {
    match screen {
        Screen::Lines => crate::write(text),
        Screen::Terminal => crate::write(&format!("{CLEAR}{text}")),
    }
}

/// Buckets that fit a terminal besides the rest.
fn fitting(screen: Screen, load: &Answer) -> usize {
    let others = load
        .rows
        .iter()
        .filter(|row| load.value(row, "scope") != Some("bucket"))
        .count();
    let size = termios::tcgetwinsize(std::io::stdout());
    match size {
        Ok(size) if screen == Screen::Terminal && size.ws_row > 0 => {
            let taken = others.saturating_add(OTHER_LINES);
            usize::from(size.ws_row).saturating_sub(taken).max(1)
        }
        Ok(_) | Err(_) => BUCKETS,
    }
}

/// What comes after a frame.
enum Next {
    Frame,
    Sort(Sort),
    End,
}

async fn wait(interval: Duration, pressed: &mut Pressed) -> Next {
    let passed = tokio::time::sleep(interval);
    let mut passed = std::pin::pin!(passed);
    loop {
        tokio::select! {
            () = passed.as_mut() => return Next::Frame,
            _ = tokio::signal::ctrl_c() => return Next::End,
            key = pressed.next() => match key {
                Some(key) if QUIT.contains(&key) => return Next::End,
                Some(key) => if let Some(sort) = Sort::by_key(key) {
                    return Next::Sort(sort);
                },
                None => pressed.0 = None, // no more keys; frames go on
            },
        }
    }
}

/// Keys as they are pressed.
struct Pressed(Option<mpsc::Receiver<u8>>);

impl Pressed {
    fn of(terminal: Option<&Raw>) -> Pressed {
        Pressed(terminal.map(|_| {
            let (sender, receiver) = mpsc::channel(KEYS_WAITING);
            // Reading a terminal blocks; the thread ends with the process.
            std::thread::spawn(move || {
                let mut byte = [0_u8; 1];
                while matches!(std::io::stdin().read(&mut byte), Ok(1)) {
                    if sender.blocking_send(byte[0]).is_err() {
                        return;
                    }
                }
            });
            receiver
        }))
    }

    async fn next(&mut self) -> Option<u8> {
        match &mut self.0 {
            Some(keys) => keys.recv().await,
            None => std::future::pending().await,
        }
    }
}

/// A terminal that gives each key at once and shows none; it is put back when this is dropped.
struct Raw(Termios);

impl Raw {
    /// None where standard input is no terminal.
    fn enter() -> Option<Raw> {
        let stdin = std::io::stdin();
        let before = termios::tcgetattr(&stdin).ok()?;
        let mut raw = before.clone();
        raw.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        termios::tcsetattr(&stdin, OptionalActions::Now, &raw).ok()?;
        Some(Raw(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Nothing can be done if the terminal is gone.
        termios::tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0).ok();
        std::io::stdout().flush().ok();
    }
}
