//! The terminal that `top` runs in: keys come at once and aren't shown, the other buffer is drawn on.
//!
//! Holds: it is put back when this is dropped, and while the process is stopped (Ctrl-Z).

use std::io::Read as _;

use rustix::termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::keys::{self, Key};
use crate::failure::Failure;
use crate::screen;
use crate::signals::Signals;

/// Keys that are waited to be read.
const KEYS_WAITING: usize = 16;

/// A terminal of ours.
pub(super) struct Terminal {
    /// none where standard input is no terminal: then there are no keys
    before: Option<Termios>,
    keys: Option<mpsc::Receiver<Key>>,
    ends: Signals,
    resized: Signal,
    stopped: Signal,
}

/// What a terminal tells.
pub(super) enum Told {
    Key(Key),
    /// its size has changed, or it is ours again
    Anew,
    End,
}

impl Terminal {
    pub(super) fn enter() -> Result<Terminal, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::from(anyhow::Error::from(error)));
        let before = termios::tcgetattr(std::io::stdin()).ok();
        let terminal = Terminal {
            ends: Signals::listen()?,
            resized: listen(SignalKind::window_change())?,
            stopped: listen(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw()))?,
            keys: before.as_ref().map(|_| pressed()),
            before,
        };
        terminal.take()?;
        Ok(terminal)
    }

    /// Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Told, Failure> {
        let key = async {
            match &mut self.keys {
                Some(keys) => keys.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            key = key => Ok(match key {
                Some(Key::Quit) => Told::End,
                Some(key) => Told::Key(key),
                None => {
                    self.keys = None; // no more keys; frames go on
                    Told::Anew
                }
            }),
            _ = self.resized.recv() => Ok(Told::Anew),
            _ = self.stopped.recv() => {
                self.give_back();
                // Nobody else can send it to us in vain.
                rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP).ok();
                self.take()?;
                Ok(Told::Anew)
            }
            () = self.ends.next() => Ok(Told::End),
        }
    }

    fn take(&self) -> Result<(), Failure> {
        if let Some(before) = &self.before {
            let mut raw = before.clone();
            raw.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
            raw.special_codes[SpecialCodeIndex::VMIN] = 1;
            raw.special_codes[SpecialCodeIndex::VTIME] = 0;
            // A terminal that keeps its settings still shows frames.
            termios::tcsetattr(std::io::stdin(), OptionalActions::Now, &raw).ok();
        }
        crate::write(screen::ENTER)
    }

    fn give_back(&self) {
        // Nothing can be done if the terminal is gone.
        crate::write(screen::LEAVE).ok();
        if let Some(before) = &self.before {
            termios::tcsetattr(std::io::stdin(), OptionalActions::Now, before).ok();
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Keys as they are pressed.
fn pressed() -> mpsc::Receiver<Key> {
    let (sender, receiver) = mpsc::channel(KEYS_WAITING);
    // Reading a terminal blocks; the thread ends with the process.
    std::thread::spawn(move || {
        let mut bytes = [0_u8; 64];
        loop {
            let read = match std::io::stdin().read(&mut bytes) {
                Ok(0) => return,
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(_) => return,
            };
            for key in keys::read(bytes.get(..read).unwrap_or_default()) {
                if sender.blocking_send(key).is_err() {
                    return;
                }
            }
        }
    });
    receiver
}
