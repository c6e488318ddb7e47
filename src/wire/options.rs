//! The `options` startup parameter: command-line switches for the server process.
//!
//! Split as Postgres 15 `pg_split_opts` (`utils/init/postinit.c`): at white space, a backslash takes the next character
//! as it is. Read as `process_postgres_switches`: `-c name=value`, `-cname=value`, `--name=value`, where `-` in a name
//! is `_`. Other switches that Postgres has are refused by name: they set developer options.

use super::error::StartupError;
use super::startup::Setting;

/// Letters of Postgres's other switches (`getopt` string in `tcop/postgres.c`).
const OTHER_SWITCHES: &str = "BbCDdEeFfhijklNnOPprSsTtvW";

/// The settings in `options`, in order.
pub(super) fn split_options(options: &str) -> Result<Vec<Setting>, StartupError> {
    let mut settings = Vec::new();
    let mut arguments = split_arguments(options).into_iter();
    while let Some(argument) = arguments.next() {
        if let Some(long) = argument.strip_prefix("--") {
            if long.is_empty() {
                // ends the switches in getopt: whatever follows is one argument too many
                match arguments.next() {
                    None => break,
                    Some(argument) => return Err(StartupError::Argument { argument }),
                }
            }
            settings.push(parse_setting(long, &argument)?);
        } else if let Some(short) = argument.strip_prefix("-c") {
            let text = match short {
                "" => arguments.next().ok_or(StartupError::Argument { argument })?,
                joined => joined.to_owned(),
            };
            settings.push(parse_setting(&text, &format!("-c {text}"))?);
        } else {
            return Err(match argument.strip_prefix('-').and_then(|rest| rest.chars().next()) {
                Some(switch) if OTHER_SWITCHES.contains(switch) => StartupError::Switch { switch },
                Some(_) | None => StartupError::Argument { argument },
            });
        }
    }
    Ok(settings)
}

fn split_arguments(options: &str) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut characters = options.chars().peekable();
    loop {
        while characters.next_if(|c| is_space(*c)).is_some() {}
        if characters.peek().is_none() {
            return arguments;
        }
        let mut argument = String::new();
        while let Some(character) = characters.next_if(|c| !is_space(*c)) {
            match character {
                '\\' => argument.extend(characters.next()),
                plain => argument.push(plain),
            }
        }
        arguments.push(argument);
    }
}

/// C's `isspace` in the C locale.
const fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

fn parse_setting(text: &str, switch: &str) -> Result<Setting, StartupError> {
    let (name, value) = text.split_once('=').ok_or_else(|| StartupError::NoValue {
        switch: switch.to_owned(),
    })?;
    Ok(Setting {
        name: name.replace('-', "_"),
        value: value.to_owned(),
    })
}
