//! Shows the service on a machine that has nothing set up: a private PostgreSQL, a small world, calls to paste.

mod service_role;
mod shell;
mod world;

use std::env;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::pin::pin;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::config::{self, AllowedHosts, LogFormat, Settings, SettingsError};
use crate::error::Error;
use crate::output::say;
use crate::private_postgres::{self, Cancel, Durability, Folder, LaunchError, PrivatePostgres};
use crate::repository::Repository;
use crate::schema::{self, SchemaError};
use crate::server::{Server, StartError};
use crate::telemetry::{self, Telemetry};

const DATABASE: &str = "customer_deletion";
const USUAL_PORT: u16 = 8080;
const USUAL_MANAGEMENT_PORT: u16 = 8081;

#[derive(clap::Args)]
pub struct Arguments {
    /// Starts over with a new world.
    #[arg(long)]
    fresh: bool,

    /// Where the private PostgreSQL and its data are. As root /var/lib/customer-deletion-demo, else customer-deletion-demo in
    /// $XDG_DATA_HOME or ~/.local/share.
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,

    /// The port of the service. Without it that of CUSTOMER_DELETION__HTTP__PORT, or else 8080, or
    /// a free one if that is taken.
    #[arg(long)]
    port: Option<u16>,

    /// The port for health and metrics. Without it that of CUSTOMER_DELETION__MANAGEMENT__PORT, or
    /// else 8081, or a free one if that is taken.
    #[arg(long, value_name = "PORT")]
    management_port: Option<u16>,

    /// Only loads the world, into the migrated and empty database of the settings, and prints the calls.
    #[arg(long, conflicts_with_all = ["fresh", "data_dir", "port", "management_port"])]
    load: bool,

    /// With --load: where the service will be.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", requires = "load")]
    base_url: String,
}

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("cannot start without the variables of the shell that begin with PG: {0}")]
    Shell(#[source] io::Error),
    #[error("neither XDG_DATA_HOME nor HOME is set; choose a folder for the data with --data-dir")]
    NoDataFolder,
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error("{0}; `demo --fresh` starts over")]
    Schema(#[from] SchemaError),
    #[error("cannot work with the database: {0}")]
    Database(#[from] sqlx::Error),
    #[error("there is no place for the world yet: {0}")]
    NotReady(Error),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("{0}; choose other ports with --port and --management-port")]
    Start(#[from] StartError),
    #[error("the service broke off: {0}")]
    Serve(#[from] io::Error),
}

/// Runs the demo until `stop` is done. Nothing that it started outlives it.
pub async fn run(mut arguments: Arguments, stop: impl Future<Output = ()>) -> Result<(), DemoError> {
    if arguments.load {
        return load(&arguments.base_url).await;
    }
    shell::leave_libpq_variables().map_err(DemoError::Shell)?;
    arguments.port = arguments.port.or(shell::port("http.port")?);
    arguments.management_port = arguments.management_port.or(shell::port("management.port")?);
    let mut stop = pin!(stop);
    let Some(postgres) = start_postgres(&arguments, stop.as_mut()).await? else {
        return Ok(());
    };
    let (server, telemetry) = tokio::select! {
        prepared = prepare(&postgres, &arguments) => prepared?,
        () = stop.as_mut() => return Ok(()),
    };
    server.run(stop).await?;
    telemetry.end().await;
    // Last, because calls in flight need it until they have ended.
    drop(postgres);
    Ok(())
}

/// Puts the world into the database of the settings, for a service that runs elsewhere.
async fn load(base_url: &str) -> Result<(), DemoError> {
    let mut settings = Settings::load()?;
    // Who loads a world writes into every table.
    settings.database.allow_owner = true;
    let options = settings.database.connect_options()?;
    let repository = Repository::new(&settings.database, &settings.queue, options.clone());
    repository.check().await.map_err(DemoError::NotReady)?;
    repository.close().await;
    if world::load(&options).await? {
        say("A small world is in the database now.\n");
    } else {
        say(
            "There are customers in the database already, and nothing is changed. The calls are for the small world.\n",
        );
    }
    say(&world::calls_to_paste(base_url));
    Ok(())
}

/// None when it was stopped before there was a server.
async fn start_postgres(
    arguments: &Arguments,
    stop: impl Future<Output = ()>,
) -> Result<Option<PrivatePostgres>, DemoError> {
    let folder = match &arguments.data_dir {
        Some(folder) => folder.clone(),
        None => usual_folder()?,
    };
    let fresh = arguments.fresh;
    let cancel = Cancel::default();
    let cancelled = cancel.clone();
    let mut start = tokio::task::spawn_blocking(move || start_postgres_in(&folder, fresh, &cancelled));
    tokio::select! {
        started = &mut start => Ok(Some(started.expect("the start does not panic")?)),
        () = stop => {
            cancel.cancel();
            // A server that came up all the same stops here.
            drop(start.await);
            Ok(None)
        }
    }
}

fn usual_folder() -> Result<PathBuf, DemoError> {
    const NAME: &str = "customer-deletion-demo";
    if private_postgres::is_root() {
        return Ok(Path::new("/var/lib").join(NAME));
    }
    let folder = |variable| env::var_os(variable).filter(|folder| !folder.is_empty()).map(PathBuf::from);
    folder("XDG_DATA_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".local/share")))
        .map(|folder| folder.join(NAME))
        .ok_or(DemoError::NoDataFolder)
}

fn start_postgres_in(folder: &Path, fresh: bool, cancel: &Cancel) -> Result<PrivatePostgres, LaunchError> {
    let folder = Folder::claim(folder, cancel)?;
    if fresh {
        folder.clear()?;
    }
    say(&format!("PostgreSQL starts in {}.", folder.path().display()));
    PrivatePostgres::start_in(folder, Durability::Durable, cancel)
}

/// From a server that is empty, or has a world already, to a service that listens.
async fn prepare(postgres: &PrivatePostgres, arguments: &Arguments) -> Result<(Server, Telemetry), DemoError> {
    create_database(&connect_options(postgres.url("postgres"))?).await?;
    let url = postgres.url(DATABASE);
    let options = connect_options(url.clone())?;
    schema::migrate(&options).await?;
    let new_world = world::load(&options).await?;
    service_role::create(&options, postgres.password()).await?;
    let settings = settings(postgres.url_of(service_role::NAME, DATABASE), arguments);
    let telemetry = telemetry::start(&settings.log)?;
    let server = Server::bind(settings)?;
    introduce(&server, arguments, &url, new_world);
    Ok((server, telemetry))
}

fn connect_options(url: String) -> Result<PgConnectOptions, SettingsError> {
    config::Database { url: Some(url.into()), ..config::Database::default() }.connect_options()
}

async fn create_database(options: &PgConnectOptions) -> Result<(), sqlx::Error> {
    let mut connection = options.connect().await?;
    let exists: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
        .bind(DATABASE)
        .fetch_one(&mut connection)
        .await?;
    if !exists {
        sqlx::query("create database customer_deletion").execute(&mut connection).await?;
    }
    connection.close().await
}

fn settings(url: String, arguments: &Arguments) -> Settings {
    let mut settings = Settings::default();
    settings.database.url = Some(url.into());
    settings.http.host = Ipv4Addr::LOCALHOST.into();
    settings.http.port = arguments.port.unwrap_or_else(|| usual_port(USUAL_PORT, arguments.management_port));
    settings.management.host = Ipv4Addr::LOCALHOST.into();
    settings.management.port =
        arguments.management_port.unwrap_or_else(|| usual_port(USUAL_MANAGEMENT_PORT, arguments.port));
    settings.http.allowed_hosts = Some(AllowedHosts::THIS_MACHINE.to_owned());
    settings.requester.source = Some("header".to_owned());
    settings.requester.header.trusted_peers = "127.0.0.0/8, ::1".to_owned();
    settings.log.format = LogFormat::Text;
    settings
}

/// The usual port, or 0 for any other if somebody has it: who does not ask for a port should not have to.
fn usual_port(usual: u16, asked_for: Option<u16>) -> u16 {
    let is_free = TcpListener::bind((Ipv4Addr::LOCALHOST, usual)).is_ok();
    if is_free && asked_for != Some(usual) { usual } else { 0 }
}

/// Tells what there is, and what to do with it.
fn introduce(server: &Server, arguments: &Arguments, database: &str, new_world: bool) {
    let moved = arguments.port.is_none() && server.address().port() != USUAL_PORT;
    let remark = if moved { " (8080 is taken)" } else { "" };
    let service = format!("http://{}", server.address());
    let world = if new_world {
        "new: customers on four levels, and what they manage"
    } else {
        "as the last demo left it, with its deletions; `customer-deletion demo --fresh` makes a new one"
    };
    say(&format!(
        "\n\
         The service   {service}{remark}\n\
         Its health    http://{}/health/ready\n\
         The database  psql '{database}'\n\
         The world     {world}\n\
         \n\
         {}\n\
         \n\
         Ctrl-C ends the service and PostgreSQL. What the service logs follows.\n",
        server.management_address(),
        world::calls_to_paste(&service),
    ));
}
