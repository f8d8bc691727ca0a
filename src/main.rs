//! The command line.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use customer_deletion::config::{SETTINGS_FILE, Settings};
use customer_deletion::schema::{MIGRATOR, Runner};
use customer_deletion::server::Server;
use customer_deletion::{demo, healthcheck, http, maintenance, repository, telemetry};
use tokio::signal::unix::{SignalKind, signal};

type AnyError = Box<dyn std::error::Error>;

/// Deletes what a customer manages: contacts, addresses, external params, zones and products.
///
/// Settings come from the environment, as CUSTOMER_DELETION__SECTION__KEY. `settings` lists them.
#[derive(Parser)]
#[command(version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the service. It never changes the schema.
    Serve,
    /// Brings the schema up to date.
    Migrate,
    /// Runs the service with a private PostgreSQL and sample data, and prints calls to try. Needs
    /// no setup.
    Demo(demo::Arguments),
    /// Restores the rows that one operation deleted: all of them or none.
    Restore(maintenance::restore::Arguments),
    /// Erases rows that were deleted long ago, or everything of one customer. This cannot be
    /// undone.
    Purge(maintenance::purge::Arguments),
    /// Puts a customer under legal hold: no purge erases its rows.
    Hold(maintenance::hold::Place),
    /// Releases a customer from a legal hold.
    Release(maintenance::hold::Release),
    /// Lists the legal holds.
    Holds(maintenance::hold::List),
    /// Lists and shows operations, retries one that ended as an internal error, and cancels a
    /// queued one.
    Operations(maintenance::operations::Arguments),
    /// Proves that rows and operations agree, and that the schema's guards are in force. It changes
    /// nothing.
    Verify(maintenance::verify::Arguments),
    /// Checks whether the running service is ready. Exits with 0 if it is, else with 1.
    Healthcheck,
    /// Prints every setting with its default, as a commented file.
    Settings,
    /// Prints the OpenAPI document. It needs no settings and no database.
    Openapi(http::openapi::Arguments),
}

// One thread talks to PostgreSQL, and actix's workers talk to the clients. More threads would only
// wake each other.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(CommandLine::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("customer-deletion: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<(), AnyError> {
    match command {
        Command::Serve => serve().await?,
        Command::Migrate => migrate().await?,
        Command::Demo(arguments) => demo::run(arguments, stop_signal()?).await?,
        Command::Restore(arguments) => maintenance::restore::run(arguments).await?,
        Command::Purge(arguments) => maintenance::purge::run(arguments, stop_signal()?).await?,
        Command::Hold(arguments) => maintenance::hold::place(arguments).await?,
        Command::Release(arguments) => maintenance::hold::release(arguments).await?,
        Command::Holds(arguments) => maintenance::hold::holds(arguments).await?,
        Command::Operations(arguments) => maintenance::operations::run(arguments).await?,
        Command::Verify(arguments) => maintenance::verify::run(arguments, stop_signal()?).await?,
        Command::Healthcheck => healthcheck::run(&Settings::load()?.management)?,
        Command::Settings => write!(io::stdout(), "{SETTINGS_FILE}")?,
        Command::Openapi(arguments) => writeln!(io::stdout(), "{:#}", http::openapi::printed(&arguments))?,
    }
    Ok(())
}

async fn serve() -> Result<(), AnyError> {
    let stop = stop_signal()?;
    let settings = Settings::load()?;
    let database = settings.database.clone();
    let telemetry = telemetry::start(&settings.log)?;
    let server = Server::bind(settings)?;
    repository::refuse_unsuitable(&database).await?;
    let served = server.run(stop).await;
    telemetry.end().await;
    Ok(served?)
}

async fn migrate() -> Result<(), AnyError> {
    let settings = Settings::load()?;
    let runner =
        Runner { migrator: &MIGRATOR, patience: settings.migration.patience, tell: &|line| eprintln!("{line}") };
    let (before, after) = runner.run(&settings.database.connect_options()?).await?;
    if before == after {
        println!("the schema is up to date, at version {after}");
    } else {
        println!("the schema went from version {before} to version {after}");
    }
    Ok(())
}

/// Completes at the first SIGTERM or SIGINT.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
