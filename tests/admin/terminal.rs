//! A program in a terminal: a pseudo-terminal that it controls, and an emulator that says what a person sees.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::num::NonZero;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rustix::pty::{self, OpenptFlags};
use rustix::termios::{self, Winsize};
use shardgate::clock::Clock;

/// What takes longer never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program and its terminal.
pub(crate) struct Terminal {
    child: Child,
    /// our end
    keyboard: File,
    /// the program's end, kept so that what it left can be looked at
    line: OwnedFd,
    settings: String,
    shared: Arc<Shared>,
}

struct Shared {
    /// guards a screen while bytes are drawn on it
    state: Mutex<Drawn>,
    changed: Condvar,
}

struct Drawn {
    screen: vt100::Parser,
    bytes: Vec<u8>,
}

impl Terminal {
    /// Runs it in a terminal of this size.
    pub(crate) fn run(program: &str, arguments: &[&str], (rows, columns): (u16, u16)) -> Terminal {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = pty::openpt(flags).unwrap();
        pty::grantpt(&ours).unwrap();
        pty::unlockpt(&ours).unwrap();
        let line = pty::ioctl_tiocgptpeer(&ours, flags).unwrap();
        termios::tcsetwinsize(&line, winsize(rows, columns)).unwrap();
        let settings = settings(&line);
        let end = || line.as_fd().try_clone_to_owned().unwrap();
        // `setsid` makes it the terminal's own process, which its signals go to.
        let child = Command::new("setsid")
            .args(["--ctty", program])
            .args(arguments)
            .env("TERM", "xterm")
            .env_remove("NO_COLOR")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        let shared = Arc::new(Shared {
            state: Mutex::new(Drawn {
                screen: vt100::Parser::new(whole(rows), whole(columns), 0),
                bytes: Vec::new(),
            }),
            changed: Condvar::new(),
        });
        let (keyboard, mut output) = (File::from(ours.try_clone().unwrap()), File::from(ours));
        let drawn = Arc::clone(&shared);
        // Ends with the terminal.
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                let mut state = drawn.state.lock().unwrap();
                state.screen.process(&bytes[..count]);
                state.bytes.extend(&bytes[..count]);
                drawn.changed.notify_all();
            }
        });
        Terminal {
            child,
            keyboard,
            line,
            settings,
            shared,
        }
    }

    /// Presses keys.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Makes it another size.
    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        // The emulator first: what is drawn for the new size is never seen at the old one.
        self.shared
            .state
            .lock()
            .unwrap()
            .screen
            .screen_mut()
            .set_size(whole(rows), whole(columns));
        termios::tcsetwinsize(&self.line, winsize(rows, columns)).unwrap();
    }

    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// The lines of the screen once they are as wanted.
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&[String]) -> bool) -> Vec<String> {
        self.wait(what, |drawn| {
            let lines = lines(drawn.screen.screen());
            is_so(&lines).then_some(lines)
        })
    }

    /// Waits until the program has a screen of its own.
    pub(crate) fn until_own_screen(&self) {
        self.wait("the screen to change hands", |drawn| {
            drawn.screen.screen().alternate_screen().then_some(())
        });
    }

    fn wait<T>(&self, what: &str, ready: impl Fn(&Drawn) -> Option<T>) -> T {
        let mut state = self.shared.state.lock().unwrap();
        loop {
            if let Some(ready) = ready(&state) {
                return ready;
            }
            let (after, waited) = self.shared.changed.wait_timeout(state, PATIENCE).unwrap();
            state = after;
            if waited.timed_out() && ready(&state).is_none() {
                panic!(
                    "{what} never came; the screen:\n{}",
                    lines(state.screen.screen()).join("\n")
                );
            }
        }
    }

    /// Waits until the program is stopped.
    pub(crate) fn until_stopped(&self) {
        let path = format!("/proc/{}/stat", self.child.id());
        let begun = Clock.now();
        // Its state stands behind the name in parentheses (proc(5)).
        while !std::fs::read_to_string(&path).unwrap().contains(") T ") {
            assert!(
                Clock.now().saturating_duration_since(begun) < PATIENCE,
                "it doesn't stop"
            );
            std::thread::yield_now();
        }
    }

    /// The terminal's settings are those from before, its usual screen and its cursor are there.
    pub(crate) fn is_given_back(&self) {
        assert_eq!(settings(&self.line), self.settings);
        self.wait("the usual screen, with its cursor", |drawn| {
            let screen = drawn.screen.screen();
            (!screen.alternate_screen() && !screen.hide_cursor()).then_some(())
        });
    }

    /// What is on the screen when the program has ended.
    pub(crate) fn ended(mut self) -> Vec<String> {
        const MARK: &str = "\x1b]0;ended\x07";
        assert!(self.child.wait().unwrap().success());
        // Written behind all that it wrote.
        File::from(self.line.try_clone().unwrap())
            .write_all(MARK.as_bytes())
            .unwrap();
        self.wait("the mark", |drawn| {
            let ended = drawn.bytes.ends_with(MARK.as_bytes());
            ended.then(|| lines(drawn.screen.screen()))
        })
    }

    /// Waits for the program's end; what it has written, and how it ended.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        self.is_given_back();
        let state = self.shared.state.lock().unwrap();
        (status, String::from_utf8_lossy(&state.bytes).into_owned())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Both fail only if it has ended.
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}

fn winsize(rows: u16, columns: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

fn whole(count: u16) -> NonZero<u16> {
    NonZero::new(count).unwrap()
}

fn settings(line: &OwnedFd) -> String {
    format!("{:?}", termios::tcgetattr(line).unwrap())
}

fn lines(screen: &vt100::Screen) -> Vec<String> {
    let (_, columns) = screen.size();
    screen
        .rows(0, columns.into())
        .map(|line| line.trim_end().to_owned())
        .collect()
}
