//! `demo`: the service with a private PostgreSQL and sample data, and calls to try.

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
use tokio_util::sync::CancellationToken;

use crate::config::{AllowedHosts, DatabaseSettings, LogFormat, Settings, SettingsError};
use crate::error::Error;
use crate::output::say;
use crate::private_postgres::{self, Durability, Folder, LaunchError, PrivatePostgres};
use crate::repository::Repository;
use crate::schema::{self, SchemaError};
use crate::server::{Server, StartError};
use crate::telemetry::{self, Telemetry};

const DATABASE: &str = "customer_deletion";
const DEFAULT_PORT: u16 = 8080;
const DEFAULT_MANAGEMENT_PORT: u16 = 8081;

#[derive(clap::Args)]
pub struct Arguments {
    /// Deletes the data of earlier demos first.
    #[arg(long)]
    fresh: bool,

    /// The folder of the private PostgreSQL and its data. Default: customer-deletion-demo in
    /// $XDG_DATA_HOME or ~/.local/share, for root in /var/lib.
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,

    /// The port of the service. Default: that of CUSTOMER_DELETION__HTTP__PORT, else 8080, or a
    /// free one if that is taken.
    #[arg(long)]
    port: Option<u16>,

    /// The port for health checks and metrics. Default: that of
    /// CUSTOMER_DELETION__MANAGEMENT__PORT, else 8081, or a free one if that is taken.
    #[arg(long, value_name = "PORT")]
    management_port: Option<u16>,

    /// Only loads the sample data into the database of the settings, and prints the calls. The
    /// database must be migrated.
    #[arg(long, conflicts_with_all = ["fresh", "data_dir", "port", "management_port"])]
    load: bool,

    /// With --load: the URL of the service, for the printed calls.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", requires = "load")]
    base_url: String,
}

#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("cannot unset the environment variables that begin with PG: {0}; unset them, and start the demo again")]
    Shell(#[source] io::Error),
    #[error("neither XDG_DATA_HOME nor HOME is set; choose a folder with --data-dir")]
    NoDataFolder,
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error("{0}; `demo --fresh` deletes the data and starts over")]
    Schema(#[from] SchemaError),
    #[error("cannot work with the database: {0}")]
    Database(#[from] sqlx::Error),
    #[error("the database is not ready for the sample data: {0}")]
    NotReady(Error),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("{0}; choose other ports with --port and --management-port")]
    Start(#[from] StartError),
    #[error("the service failed: {0}")]
    Serve(#[from] io::Error),
}

/// Runs the demo until `stop` completes, then stops everything that it started.
pub async fn run(mut arguments: Arguments, stop: impl Future<Output = ()>) -> Result<(), DemoError> {
    if arguments.load {
        return load(&arguments.base_url).await;
    }
    shell::drop_libpq_variables().map_err(DemoError::Shell)?;
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
    // Last, because calls in flight need the database.
    drop(postgres);
    Ok(())
}

/// Loads the sample data for a service that runs elsewhere.
async fn load(base_url: &str) -> Result<(), DemoError> {
    let mut settings = Settings::load()?;
    // The owner's role is needed here, because loading writes into every table.
    settings.database.allow_owner = true;
    let options = settings.database.connect_options()?;
    let repository = Repository::new(&settings.database, &settings.queue, None, options.clone());
    repository.check().await.map_err(DemoError::NotReady)?;
    repository.close().await;
    if world::load(&options).await? {
        say("The sample data is loaded.\n");
    } else {
        say("The database already has customers, so nothing was loaded. These calls are about the sample data.\n");
    }
    say(&world::calls_to_paste(base_url));
    Ok(())
}

/// Returns `None` if it was stopped before the server had started.
async fn start_postgres(
    arguments: &Arguments,
    stop: impl Future<Output = ()>,
) -> Result<Option<PrivatePostgres>, DemoError> {
    let folder = match &arguments.data_dir {
        Some(folder) => folder.clone(),
        None => default_folder()?,
    };
    let fresh = arguments.fresh;
    let cancel = CancellationToken::new();
    let cancelled = cancel.clone();
    let mut start = tokio::task::spawn_blocking(move || start_postgres_in(&folder, fresh, &cancelled));
    tokio::select! {
        started = &mut start => Ok(Some(started.expect("the start does not panic")?)),
        () = stop => {
            cancel.cancel();
            // A server that has started nevertheless stops here.
            drop(start.await);
            Ok(None)
        }
    }
}

fn default_folder() -> Result<PathBuf, DemoError> {
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

fn start_postgres_in(folder: &Path, fresh: bool, cancel: &CancellationToken) -> Result<PrivatePostgres, LaunchError> {
    let folder = Folder::claim(folder, cancel)?;
    if fresh {
        folder.clear()?;
    }
    say(&format!("Starting PostgreSQL in {}.", folder.path().display()));
    PrivatePostgres::start_in(folder, Durability::Durable, cancel)
}

/// Creates what is missing in the database, and binds the service.
async fn prepare(postgres: &PrivatePostgres, arguments: &Arguments) -> Result<(Server, Telemetry), DemoError> {
    create_database(&connect_options(postgres.url("postgres"))?).await?;
    let url = postgres.url(DATABASE);
    let options = connect_options(url.clone())?;
    schema::migrate(&options).await?;
    let is_new = world::load(&options).await?;
    service_role::create(&options, postgres.password()).await?;
    let settings = settings(postgres.url_of(service_role::NAME, DATABASE), arguments);
    let telemetry = telemetry::start(&settings.log)?;
    let server = Server::bind(settings)?;
    introduce(&server, arguments, &url, is_new);
    Ok((server, telemetry))
}

fn connect_options(url: String) -> Result<PgConnectOptions, SettingsError> {
    DatabaseSettings { url: Some(url.into()), ..DatabaseSettings::default() }.connect_options()
}

async fn create_database(options: &PgConnectOptions) -> sqlx::Result<()> {
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
    settings.http.port = arguments.port.unwrap_or_else(|| port_or_free(DEFAULT_PORT, arguments.management_port));
    settings.management.host = Ipv4Addr::LOCALHOST.into();
    settings.management.port =
        arguments.management_port.unwrap_or_else(|| port_or_free(DEFAULT_MANAGEMENT_PORT, arguments.port));
    settings.http.allowed_hosts = Some(AllowedHosts::THIS_MACHINE.to_owned());
    settings.requester.source = Some("header".to_owned());
    settings.requester.header.trusted_peers = "127.0.0.0/8, ::1".to_owned();
    settings.log.format = LogFormat::Text;
    settings
}

/// Returns the default port, or 0 for a free one if it is taken or `other` is the same.
fn port_or_free(default: u16, other: Option<u16>) -> u16 {
    let is_free = TcpListener::bind((Ipv4Addr::LOCALHOST, default)).is_ok();
    if is_free && other != Some(default) { default } else { 0 }
}

/// Prints what runs, and the calls to try.
fn introduce(server: &Server, arguments: &Arguments, database: &str, is_new: bool) {
    let is_other_port = arguments.port.is_none() && server.address().port() != DEFAULT_PORT;
    let remark = if is_other_port { " (8080 is taken)" } else { "" };
    let service = format!("http://{}", server.address());
    let world = if is_new {
        "new: customers on four levels, with contacts, addresses, external params, zones and products"
    } else {
        "as the last demo left it; `customer-deletion demo --fresh` deletes it and starts over"
    };
    say(&format!(
        "\n\
         Service       {service}{remark}\n\
         Health        http://{}/health/ready\n\
         Database      psql '{database}'\n\
         Sample data   {world}\n\
         \n\
         {}\n\
         \n\
         Ctrl-C stops the service and PostgreSQL. The log of the service follows.\n",
        server.management_address(),
        world::calls_to_paste(&service),
    ));
}
