//! Shared by the tests: a PostgreSQL, a database and a service for each test, and a small tree of customers.

pub mod audit;
pub mod database;
pub mod log;
pub mod plan;
pub mod pool;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod resources;
pub mod service;
pub mod stall;
pub mod world;

pub use self::database::TestDatabase;
pub use self::pool::TestPool;
pub use self::service::{Answer, TestService};
pub use self::stall::StallWatch;
pub use self::world::World;

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use reqwest::Client;
use uuid::Uuid;

/// Opens a new connection for each call. All calls share one client, because creating one reads every certificate of the machine.
pub fn client() -> Client {
    static CLIENT: LazyLock<Client> = LazyLock::new(|| {
        let client = Client::builder().pool_max_idle_per_host(0).no_proxy().timeout(Duration::from_secs(20));
        client.build().expect("a client can be built")
    });
    CLIENT.clone()
}

/// Sleeps before something is asked again: longer when it has been waited for longer, because each question takes time from what
/// is waited for.
pub async fn pause(began: Instant) {
    tokio::time::sleep((began.elapsed() / 8).clamp(Duration::from_millis(2), Duration::from_millis(100))).await;
}

/// Waits for what must come, however busy the machine is.
pub async fn until<F: Future<Output = bool>>(comes: impl Fn() -> F) {
    let began = Instant::now();
    while !comes().await {
        assert!(began.elapsed() < Duration::from_secs(60), "it does not come");
        pause(began).await;
    }
}

/// The ids as the body of a list deletion.
pub fn body(ids: &[Uuid]) -> String {
    serde_json::json!({ "id": ids }).to_string()
}
