//! The command line of a DBA: a client of the proxy's admin database.
//!
//! Why a client: one protocol, one authentication, one list of commands; what `shardctl` shows, psql shows too.
//! Holds: exit code 0 for done, 1 for failed, 2 for a wrong command line; answers go to standard output, everything
//! else to standard error; `-o json` prints one array of objects whose keys are the column names of the command.

mod answer;
mod arguments;
mod ask;
pub mod clusters;
mod demo;
mod duration;
mod failure;
mod figures;
mod findings;
mod init;
mod json;
mod load;
mod offline;
mod proposals;
mod record;
mod screen;
mod signals;
mod simulate;
mod style;
mod table;
mod top;
mod width;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use arguments::{Arguments, Command, Output, Resolution, Transactions};
use failure::Failure;
use load::View;
use style::Style;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::from(anyhow::Error::from(error)).report(),
    };
    match runtime.block_on(run(&arguments)) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

async fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let answer = match &arguments.command {
        Command::Status => ask::ask(arguments, "SHOW STATUS").await?,
        Command::Shards => ask::ask(arguments, "SHOW SHARDS").await?,
        Command::Keyspaces => ask::ask(arguments, "SHOW KEYSPACES").await?,
        Command::Tables => ask::ask(arguments, "SHOW TABLES").await?,
        Command::Buckets { keyspace } => ask::ask(arguments, "SHOW BUCKETS")
            .await?
            .of_keyspace(keyspace.as_deref())?,
        Command::Load { keys: false } => ask::ask(arguments, "SHOW LOAD").await?,
        Command::Load { keys: true } => ask::ask(arguments, "SHOW KEYS").await?,
        Command::Proposals { id } => return tell(arguments, &proposals::ask(arguments, *id).await?),
        Command::Propose { keyspace } => {
            return tell(arguments, &proposals::propose(arguments, keyspace.as_deref()).await?);
        }
        Command::Top(options) => return top::run(arguments, options).await.map(|()| ExitCode::SUCCESS),
        Command::Route { sql } => ask::ask(arguments, &format!("ROUTE {}", sql.join(" "))).await?,
        Command::Transactions { act: None } => ask::ask(arguments, "SHOW TRANSACTIONS").await?,
        Command::Transactions {
            act: Some(Transactions::Resolve { yes: false, .. }),
        } => {
            return Err(Failure::new("nothing was done".to_owned()).with_hint(
                "If its decision was the other one, half of the transaction is lost: add --yes if you know.",
            ));
        }
        Command::Transactions {
            act: Some(Transactions::Resolve { gid, verdict, .. }),
        } => {
            let word = match verdict {
                Resolution::Commit => "COMMIT",
                Resolution::Rollback => "ROLLBACK",
            };
            ask::ask(arguments, &format!("RESOLVE '{}' {word}", gid.replace('\'', ""))).await?
        }
        Command::Reload => ask::ask(arguments, "RELOAD").await?,
        Command::Simulate(options) => {
            write(&simulate::simulate(options, arguments.output)?)?;
            return Ok(ExitCode::SUCCESS);
        }
        Command::Record(options) => return record::record(arguments, options).await.map(|()| ExitCode::SUCCESS),
        Command::Demo(options) => return Box::pin(demo::run(options)).await.map(|()| ExitCode::SUCCESS),
        Command::Init(options) => return init::run(options).await.map(|()| ExitCode::SUCCESS),
        Command::Check { config: None } => ask::ask(arguments, "CHECK").await?,
        Command::Check { config: Some(file) } => offline::check(file).await?,
    };
    let text = match (arguments.output, &arguments.command) {
        (Output::Json, _) => json::print(&answer)?,
        (Output::Table, Command::Check { .. }) => findings::print(&answer, Style::of_stdout()),
        (Output::Table, Command::Load { keys: false }) => {
            load::picture(&answer, None, View::whole(screen::columns(), Style::of_stdout())).to_text()
        }
        (Output::Table, Command::Status) => table::print_record(&answer, Style::of_stdout()),
        (Output::Table, _) => table::print(&answer, Style::of_stdout(), screen::width()),
    };
    write(&text)?;
    Ok(match &arguments.command {
        Command::Check { .. } if findings::has_error(&answer) => ExitCode::from(failure::FAILED),
        _ => ExitCode::SUCCESS,
    })
}

fn tell(arguments: &Arguments, told: &proposals::Told) -> Result<ExitCode, Failure> {
    let text = match arguments.output {
        Output::Json => json::print(told.answer())?,
        Output::Table => proposals::print(told),
    };
    write(&text).map(|()| ExitCode::SUCCESS)
}

/// Writes to standard output; a reader that has gone (`| head`) is no failure.
fn write(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(anyhow::Error::from(error).into()),
        Ok(()) | Err(_) => Ok(()),
    }
}
