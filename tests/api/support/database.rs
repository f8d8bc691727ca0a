//! A database for each test, copied from a migrated one.

use std::sync::{Arc, LazyLock, OnceLock};

use customer_deletion::config::{self, Environment};
use customer_deletion::schema;
use sqlx::postgres::{PgConnectOptions, PgQueryResult};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use tokio::sync::{Mutex, mpsc, oneshot};
use uuid::Uuid;

use super::{TestPool, postgres};

/// A DBA runs this after every migration.
pub const ROLES: &str = include_str!("../../../deploy/postgres/roles.sql");

/// A database with the schema and nothing in it. Gone when its owner is dropped.
pub struct TestDatabase {
    name: String,
    /// The owner, if it is another. The database lasts as long as its owner.
    owner: Option<Arc<TestDatabase>>,
    /// The URL for a superuser. The service gets [`as_service`] of it.
    pub url: String,
    /// For the test itself, which acts as other services or as a DBA, and reads rows.
    pub pool: TestPool,
}

impl TestDatabase {
    pub async fn migrated() -> TestDatabase {
        let template = template().await;
        TestDatabase::create(&format!("template {template} strategy file_copy")).await
    }

    pub async fn empty() -> TestDatabase {
        TestDatabase::empty_with("").await
    }

    /// `options` are those of `create database`.
    pub async fn empty_with(options: &str) -> TestDatabase {
        // The migrated template is not needed, but the roles are made with it.
        template().await;
        TestDatabase::create(&format!("template template0 {options}")).await
    }

    /// A copy of another database to which nobody is connected.
    pub async fn copy_of(other: &TestDatabase) -> TestDatabase {
        other.pool.close().await;
        TestDatabase::create(&format!("template {} strategy file_copy", other.name)).await
    }

    async fn create(from: &str) -> TestDatabase {
        let name = format!("customer_deletion_test_{}", Uuid::now_v7().simple());
        send(&CREATOR, format!("create database {name} {from}"))
            .await
            .expect("the administrator works")
            .expect("a database can be created");
        TestDatabase::named(name, None)
    }

    /// Replaces a pool that was closed.
    pub fn with_a_new_pool(mut self) -> TestDatabase {
        self.pool = TestPool::new(server().database(&self.name));
        self
    }

    /// The same database with a pool of its own: a pool ends with the runtime of its test.
    pub fn borrowed(self: &Arc<TestDatabase>) -> TestDatabase {
        TestDatabase::named(self.name.clone(), Some(Arc::clone(self)))
    }

    /// Whether other tests use it at the same time.
    pub fn is_borrowed(&self) -> bool {
        self.owner.is_some()
    }

    fn named(name: String, owner: Option<Arc<TestDatabase>>) -> TestDatabase {
        let options = server().database(&name);
        let url = options.to_url_lossy().to_string();
        TestDatabase { name, owner, url, pool: TestPool::new(options) }
    }
}

impl TestDatabase {
    /// Runs roles.sql, as a DBA does after a migration.
    pub async fn grant(&self) {
        grant(&server().database(&self.name)).await;
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if self.is_borrowed() {
            return;
        }
        let dropped = send(&REMOVER, format!("drop database if exists {} with (force)", self.name));
        // The runtime of the test, if this is in one, cannot wait.
        if let Ok(Ok(Err(error))) = std::thread::spawn(move || dropped.blocking_recv()).join() {
            eprintln!("database {} stays: {error}", self.name);
        }
    }
}

type Task = (String, oneshot::Sender<Result<PgQueryResult, sqlx::Error>>);

/// Creates databases, one after the other: a template that is being copied cannot be copied.
static CREATOR: LazyLock<mpsc::UnboundedSender<Task>> = LazyLock::new(|| administer("0"));

/// Drops databases. It is another session, because a drop takes three times as long as a creation. PostgreSQL 17 can wait for
/// ever in a drop, for an answer of a session that ended. The timeout ends this wait, and the next try does not meet it.
static REMOVER: LazyLock<mpsc::UnboundedSender<Task>> = LazyLock::new(|| administer("5s"));

/// A busy machine may need more than one try of 5 seconds.
const TRIES: usize = 12;

/// Opens a session that runs the statements it is sent.
fn administer(statement_timeout: &'static str) -> mpsc::UnboundedSender<Task> {
    let (tasks, mut received) = mpsc::unbounded_channel::<Task>();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut session = administrator(statement_timeout).await;
            while let Some((sql, done)) = received.recv().await {
                if session.ping().await.is_err() {
                    session = administrator(statement_timeout).await;
                }
                let mut result = run(&mut session, &sql).await;
                for _ in 1..TRIES {
                    if !result.as_ref().is_err_and(is_timeout) {
                        break;
                    }
                    result = run(&mut session, &sql).await;
                }
                let _ = done.send(result);
            }
        });
    });
    tasks
}

async fn run(session: &mut PgConnection, sql: &str) -> Result<PgQueryResult, sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(session).await
}

fn is_timeout(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("57014"))
}

fn send(session: &mpsc::UnboundedSender<Task>, sql: String) -> oneshot::Receiver<Result<PgQueryResult, sqlx::Error>> {
    let (done, is_done) = oneshot::channel();
    session.send((sql, done)).expect("the administrator works");
    is_done
}

/// The name of a migrated database without connections. A server that outlives this process keeps it for the next one.
async fn template() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    static MIGRATING: Mutex<()> = Mutex::const_new(());

    let migrating = MIGRATING.lock().await;
    if NAME.get().is_none() {
        let name = format!("customer_deletion_template_{:x}", checksum());
        let mut administrator = administrator("0").await;
        // Two test processes may share a server.
        execute(&mut administrator, "select pg_advisory_lock(7263)".to_owned()).await;
        let exists: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(&name)
            .fetch_one(&mut administrator)
            .await
            .unwrap();
        if !exists {
            let half_made = format!("{name}_half_made");
            execute(&mut administrator, format!("drop database if exists {half_made} with (force)")).await;
            execute(&mut administrator, format!("create database {half_made} template template0")).await;
            let half_made_options = server().database(&half_made);
            schema::migrate(&half_made_options).await.expect("the migrations run");
            grant(&half_made_options).await;
            // The first session after a change of the schema writes a file for later ones. The copies have it too.
            half_made_options.connect().await.unwrap().close().await.unwrap();
            execute(&mut administrator, format!("alter database {half_made} rename to {name}")).await;
        }
        NAME.set(name).unwrap();
    }
    drop(migrating);
    NAME.get().unwrap()
}

/// Reverts migrations, the newest first, down to this version, as a DBA does with psql. The migration of this version stays.
pub async fn revert_to(connection: &mut PgConnection, version: i64) {
    let later = schema::MIGRATOR.iter().rev().filter(|migration| migration.version > version);
    for migration in later.filter(|migration| migration.migration_type.is_down_migration()) {
        sqlx::raw_sql(migration.sql.clone()).execute(&mut *connection).await.expect("a migration can be taken back");
    }
}

/// Sets up the roles, and those that the service and the DBA's commands of the tests log in as.
pub async fn grant(options: &PgConnectOptions) {
    let mut connection = options.connect().await.unwrap();
    execute(&mut connection, ROLES.to_owned()).await;
    for (role, group) in [(SERVICE, "customer_deletion_service"), (MAINTENANCE, "customer_deletion_maintenance")] {
        let log_in = format!(
            "do $$
             begin
               if to_regrole('{role}') is null then
                 create role {role} login password '{role}' in role {group};
               end if;
             end
             $$"
        );
        execute(&mut connection, log_in).await;
    }
    connection.close().await.unwrap();
}

/// A member of customer_deletion_service, and its password.
pub const SERVICE: &str = "customer_deletion_test_service";

/// A member of customer_deletion_maintenance, and its password.
pub const MAINTENANCE: &str = "customer_deletion_test_maintenance";

/// The URL with the service's role instead of the administrator. Any other role stays.
pub fn as_service(url: &str) -> String {
    instead_of_administrator(url, SERVICE)
}

/// The URL with the role of the DBA's commands instead of the administrator.
pub fn as_maintenance(url: &str) -> String {
    instead_of_administrator(url, MAINTENANCE)
}

fn instead_of_administrator(url: &str, member: &str) -> String {
    let Some((credentials, rest)) = url.strip_prefix("postgres://").and_then(|url| url.split_once('@')) else {
        return url.to_owned();
    };
    let role = credentials.split(':').next().unwrap_or_default();
    if role == server().get_username() { format!("postgres://{member}:{member}@{rest}") } else { url.to_owned() }
}

/// A hash of all migrations and of roles.sql, so that a changed schema gets another template.
fn checksum() -> u64 {
    let migrations = schema::MIGRATOR.iter().flat_map(|migration| migration.checksum.iter());
    let bytes = migrations.chain(ROLES.as_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A session outside every pool.
pub async fn connect(url: &str) -> PgConnection {
    options(url).connect().await.unwrap()
}

fn server() -> PgConnectOptions {
    options(postgres::url())
}

/// Parses the URL as the service does.
fn options(url: &str) -> PgConnectOptions {
    let environment = Environment::of_this_process();
    let settings =
        config::DatabaseSettings { url: Some(url.into()), environment, ..config::DatabaseSettings::default() };
    settings.connect_options().expect("the server's URL is one").disable_statement_logging()
}

async fn administrator(statement_timeout: &str) -> PgConnection {
    let server = server().options([("statement_timeout", statement_timeout)]);
    server.connect().await.expect("the server of the tests answers")
}

async fn execute(connection: &mut PgConnection, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.expect("a statement of the administrator");
}
