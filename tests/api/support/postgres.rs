//! The PostgreSQL that the tests run against: the one of `TEST_DATABASE_URL`, else one in a container, else a private one.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use customer_deletion::private_postgres::{Durability, PrivatePostgres};
use testcontainers::core::{IntoContainerPort, Mount, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A server that lasts as long as this process.
struct TestPostgres {
    url: String,
    /// Kept, because dropping it ends the server.
    _server: Server,
}

enum Server {
    Given,
    Container { _container: Box<ContainerAsync<GenericImage>>, _watchdog: Option<Child> },
    Private(#[allow(dead_code, reason = "only its end matters")] PrivatePostgres),
}

static SERVER: OnceLock<TestPostgres> = OnceLock::new();

/// The URL of the server's database `postgres`, or of the database that `TEST_DATABASE_URL` names.
pub fn url() -> &'static str {
    &SERVER.get_or_init(start).url
}

/// Whether the server is the container. Other servers may lack the extensions of PostgreSQL's contrib package.
pub fn is_complete() -> bool {
    url();
    matches!(SERVER.get(), Some(TestPostgres { _server: Server::Container { .. }, .. }))
}

fn start() -> TestPostgres {
    let (postgres, name) = if let Ok(url) = std::env::var("TEST_DATABASE_URL") {
        (TestPostgres { url, _server: Server::Given }, "the server of TEST_DATABASE_URL")
    } else if docker_answers() {
        (in_a_container(), "PostgreSQL 17 in a container")
    } else {
        (private(), "a private PostgreSQL server")
    };
    // Written to the file descriptor, because the test harness captures the usual output.
    let _ = writeln!(std::io::stderr(), "\nthe tests run against {name}");
    postgres
}

pub fn docker_answers() -> bool {
    let mut docker = Command::new("docker");
    docker.args(["version", "--format", "{{.Server.Version}}"]).stdout(Stdio::null()).stderr(Stdio::null());
    docker.status().is_ok_and(|status| status.success())
}

/// The data are in memory, and nothing waits for a disk: a database is a few hundred files, which every test creates and removes.
const SETTINGS: [&str; 10] = [
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "jit_above_cost=-1",
    "max_wal_size=256MB",
    "max_connections=400",
    "max_wal_senders=40",
    "max_replication_slots=40",
    "wal_level=logical",
    "shared_preload_libraries=pg_stat_statements",
];

fn in_a_container() -> TestPostgres {
    // In a thread of its own, because the first test to get here already runs inside a runtime.
    let started = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let started = runtime.block_on(async {
            let image = GenericImage::new("postgres", "17")
                .with_wait_for(WaitFor::message_on_stderr("listening on IPv4 address"))
                .with_wait_for(WaitFor::message_on_stderr("ready to accept connections"))
                .with_exposed_port(5432.tcp())
                // Docker's usual network by its name, because the container's address is asked for by it.
                .with_network("bridge")
                .with_mount(Mount::tmpfs_mount("/var/lib/postgresql/data"))
                .with_env_var("POSTGRES_HOST_AUTH_METHOD", "trust")
                .with_cmd(["postgres"].into_iter().chain(SETTINGS.into_iter().flat_map(|setting| ["-c", setting])));
            let container = image.start().await.expect("the container starts");
            let url = format!("postgres://postgres@{}/postgres", address_of(&container).await);
            (container, url)
        });
        // The handle of the container still needs the runtime.
        std::mem::forget(runtime);
        started
    });
    let (container, url) = started.join().expect("the container starts");
    let watchdog = remove_with_this_process(container.id());
    TestPostgres { url, _server: Server::Container { _container: Box::new(container), _watchdog: watchdog } }
}

/// The container's own address, if this machine can reach it: Docker's proxy of a published port copies every byte.
async fn address_of(container: &ContainerAsync<GenericImage>) -> String {
    if let Ok(ip) = container.get_bridge_ip_address().await {
        let direct = TcpStream::connect((ip, 5432));
        if let Ok(Ok(_)) = timeout(Duration::from_secs(1), direct).await {
            return format!("{ip}:5432");
        }
    }
    let port = container.get_host_port_ipv4(5432).await.expect("the container publishes its port");
    let host = container.get_host().await.expect("the container has a host");
    format!("{host}:{port}")
}

/// Statics are never dropped, so a watching process cleans up. It sees the end of this process by the end of a pipe.
pub fn remove_with_this_process(container: &str) -> Option<Child> {
    Command::new("sh")
        .args(["-c", "read -r _; exec docker rm --force --volumes \"$0\"", container])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()
}

fn private() -> TestPostgres {
    let folder = std::env::temp_dir().join(format!("customer-deletion-tests-{}", std::process::id()));
    let server = PrivatePostgres::start(&folder, Durability::Disposable).unwrap_or_else(|error| panic!("{error}"));
    TestPostgres { url: server.url("postgres"), _server: Server::Private(server) }
}
