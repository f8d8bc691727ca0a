//! A database for each test, copied from a migrated one.

use std::str::FromStr;
use std::sync::OnceLock;

use customer_deletion::schema;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, PgPool};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::postgres;

/// A database with the schema and nothing in it. Gone when it is dropped.
pub struct TestDatabase {
    name: String,
    pub url: String,
    /// For what the test itself does: other services, DBAs, a look at the rows.
    pub pool: PgPool,
}

impl TestDatabase {
    pub async fn migrated() -> TestDatabase {
        let template = template().await;
        TestDatabase::create(&format!("template {template} strategy file_copy")).await
    }

    pub async fn empty() -> TestDatabase {
        TestDatabase::create("template template0").await
    }

    async fn create(from: &str) -> TestDatabase {
        let name = format!("customer_deletion_test_{}", Uuid::now_v7().simple());
        // One at a time: a template that is being copied cannot be copied.
        static COPYING: Mutex<()> = Mutex::const_new(());
        let copying = COPYING.lock().await;
        let mut administrator = administrator().await;
        execute(&mut administrator, format!("create database {name} {from}")).await;
        drop(copying);

        let options = server().database(&name);
        let url = options.to_url_lossy().to_string();
        let pool = PgPoolOptions::new().max_connections(20).connect_lazy_with(options);
        TestDatabase { name, url, pool }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let name = self.name.clone();
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut administrator = administrator().await;
                execute(&mut administrator, format!("drop database if exists {name} with (force)")).await;
            });
        });
        let _ = dropping.join();
    }
}

/// The name of a migrated database without connections. A server that outlives this process keeps it for the next one.
async fn template() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    static MIGRATING: Mutex<()> = Mutex::const_new(());

    let migrating = MIGRATING.lock().await;
    if NAME.get().is_none() {
        let name = format!("customer_deletion_template_{:x}", checksum());
        let mut administrator = administrator().await;
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
            schema::migrate(&server().database(&half_made)).await.expect("the migrations run");
            execute(&mut administrator, format!("alter database {half_made} rename to {name}")).await;
        }
        NAME.set(name).unwrap();
    }
    drop(migrating);
    NAME.get().unwrap()
}

/// Of all the migrations, so that another schema is another template.
fn checksum() -> u64 {
    let bytes = schema::MIGRATOR.iter().flat_map(|migration| migration.checksum.iter());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn server() -> PgConnectOptions {
    PgConnectOptions::from_str(postgres::url()).expect("the server's URL is one").disable_statement_logging()
}

async fn administrator() -> PgConnection {
    server().connect().await.expect("the server of the tests answers")
}

async fn execute(connection: &mut PgConnection, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.expect("a statement of the administrator");
}
