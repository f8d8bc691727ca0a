//! Clients that reset, half-close, stall, or send one byte a second.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use super::load::Connections;
use super::trial::{CLIENTS, Trial, rounds};
use crate::support::process::{IMPATIENT, Process};
use crate::support::service::collection;
use crate::support::world::Family;
use crate::support::{TestDatabase, TestPool, World, body};

/// The number of clients of each kind.
const OF_EACH_KIND: usize = 10;

/// The longest time of the clients with the settings of this test. They take 7.5 seconds, and more on a busy machine.
const WHILE: Duration = Duration::from_secs(12);

/// Far more than any timeout for a client, and less than the clients that send one byte a second need to finish.
const LONGEST_CONNECTION: Duration = Duration::from_secs(30);

/// The number of calls that are reset.
const RESETS: usize = 200;

/// Half as many sessions as if every reset cost one. On a busy machine the service closes some sessions.
const MOST_SESSIONS: i64 = RESETS as i64 / 2;

/// A row of these clients takes longer than the clients wait before the reset, so that most resets come in the middle of a
/// statement.
const SLOWLY: &str = "
    create function slowly() returns trigger language plpgsql as $$ begin perform pg_sleep(0.03); return new; end $$;
    create trigger slowly before update on contact for each row when (old.remarks = 'slow') execute function slowly();";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a fault under load: takes a quarter of a minute; cargo test --test api -- --ignored faults"]
async fn clients_that_misbehave_hold_up_nobody_else() {
    let database = TestDatabase::migrated().await;
    sqlx::raw_sql(SLOWLY).execute(&database.pool).await.unwrap();
    let family = World::new(database.pool.clone()).family().await;
    let short =
        [("CUSTOMER_DELETION__HTTP__BODY_TIMEOUT_MS", "2000"), ("CUSTOMER_DELETION__HTTP__KEEP_ALIVE_MS", "1000")];
    let process = Process::serve_with(&database.url, &[&IMPATIENT[..], &short].concat());
    let name = "clients that reset, half-close, stall, send one byte a second";
    let mut trial = Trial::begin_with(CLIENTS, Connections::New, name, &database.pool, family, &process).await;
    for _ in 0..rounds(1) {
        let contacts = slow_contacts(&database.pool, family.sub_customer).await;
        let sessions = sessions_ever(&database.pool).await;
        let bad = BadClients { address: process.address, family };
        let fault = async || {
            tokio::join!(bad.reset(&contacts), bad.half_close(), bad.stall(), bad.trickle());
            Instant::now()
        };
        trial.disturb_for(&database.pool, WHILE, fault).await;
        let made = sessions_ever(&database.pool).await - sessions;
        assert!(made < MOST_SESSIONS, "{RESETS} resets cost {made} sessions");
    }
    let seen = trial.end(&database.pool).await;
    seen.assert_not_noticed(&process);
    // Every client is answered or gone. The statements of the last clients that reset may still be running.
    let ended = Instant::now();
    while process.in_flight().await > 0.0 {
        assert!(ended.elapsed() < Duration::from_secs(20), "{} permits are held", process.in_flight().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Three contacts for each reset.
async fn slow_contacts(pool: &TestPool, customer: Uuid) -> Vec<Uuid> {
    let sql = "insert into contact (id, customer_id, email, mobile, remarks)
        select gen_random_uuid(), $1, 'a@example.com', '+491510000', 'slow' from generate_series(1, $2) returning id";
    sqlx::query_scalar(sql).bind(customer).bind(3 * RESETS as i64).fetch_all(pool).await.unwrap()
}

struct BadClients {
    address: SocketAddr,
    family: Family,
}

impl BadClients {
    fn call(&self, body: &str) -> String {
        format!(
            "DELETE {} HTTP/1.1\r\nHost: test\r\nX-Requester-Id: {}\r\nContent-Length: {}\r\n\r\n{body}",
            collection(self.family.sub_customer, Resource::Contact),
            self.family.requester,
            body.len()
        )
    }

    async fn send(&self, text: &str) -> TcpStream {
        let mut connection = TcpStream::connect(self.address).await.expect("the service takes connections");
        connection.write_all(text.as_bytes()).await.expect("the service takes what is sent");
        connection
    }

    /// Resets the connection a moment after the call is sent.
    async fn reset(&self, contacts: &[Uuid]) {
        for contacts in contacts.chunks(3) {
            let connection = self.send(&self.call(&body(contacts))).await;
            tokio::time::sleep(Duration::from_micros(20_000 + contacts[0].as_u128() as u64 % 40_000)).await;
            connection.set_zero_linger().expect("a connection can be reset");
        }
    }

    /// Closes its sending half, after a whole call and in the middle of one.
    async fn half_close(&self) {
        let whole = self.call(&body(&[Uuid::now_v7()]));
        join_all((0..OF_EACH_KIND).flat_map(|_| [whole.len(), whole.len() - 5]).map(|length| {
            let sent = &whole[..length];
            async move {
                let mut connection = self.send(sent).await;
                // The service may have closed the connection already.
                let _ = connection.shutdown().await;
                until_closed("half-closed", connection).await;
            }
        }))
        .await;
    }

    /// Stops sending in the middle of the head, in the middle of the body, and in the middle of the head after a first call.
    async fn stall(&self) {
        let whole = self.call(&body(&[Uuid::now_v7()]));
        let starts = [&whole[..20], &whole[..whole.len() - 5], whole.as_str()];
        join_all((0..OF_EACH_KIND).flat_map(|_| starts).map(async |sent| {
            let mut connection = self.send(sent).await;
            if sent == whole {
                connection.readable().await.expect("the first call is answered");
                // The service may have closed the connection already.
                let _ = connection.write_all(b"DELETE /api").await;
            }
            until_closed("stalled", connection).await;
        }))
        .await;
    }

    /// Sends one byte a second, from the middle of the head, and of the body.
    async fn trickle(&self) {
        let whole = self.call(&body(&[Uuid::now_v7()]));
        join_all((0..OF_EACH_KIND).flat_map(|_| [20, whole.len() - 40]).map(|length| {
            let whole = &whole;
            async move {
                let (reading, mut writing) = self.send(&whole[..length]).await.into_split();
                let trickle = async {
                    for byte in &whole.as_bytes()[length..] {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        if writing.write_all(&[*byte]).await.is_err() {
                            break;
                        }
                    }
                };
                tokio::select! {
                    () = trickle => {}
                    () = until_closed("trickling", reading) => {}
                }
            }
        }))
        .await;
    }
}

/// The service must close the connection in time. A reset counts as closed.
async fn until_closed(kind: &str, mut connection: impl tokio::io::AsyncRead + Unpin) {
    let mut rest = Vec::new();
    let reading = tokio::time::timeout(LONGEST_CONNECTION, connection.read_to_end(&mut rest)).await;
    assert!(reading.is_ok(), "a {kind} connection stays open after {:?}", String::from_utf8_lossy(&rest));
}

/// The number of sessions that this database has had.
async fn sessions_ever(pool: &TestPool) -> i64 {
    let sql = "select sessions from pg_stat_database where datname = current_database()";
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}
