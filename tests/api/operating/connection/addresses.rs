//! Addresses of PostgreSQL that are not a name and a port.

use std::path::PathBuf;

use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use uuid::Uuid;

use crate::support::process::Process;
use crate::support::service::send;
use crate::support::{TestDatabase, client};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ipv6_address_in_brackets_is_reached() {
    let database = TestDatabase::migrated().await;
    let Ok(listener) = TcpListener::bind("[::1]:0").await else {
        eprintln!("skipped: this machine has no IPv6");
        return;
    };
    let address = listener.local_addr().unwrap();
    let server = server(&database);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            forward(client, server.clone());
        }
    });
    assert_ready(&with_address(&database, &address.to_string(), "")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_is_reached_by_its_folder() {
    let database = TestDatabase::migrated().await;
    let folder = Folder(std::env::temp_dir().join(format!("cd-{}", Uuid::now_v7().simple())));
    std::fs::create_dir(&folder.0).unwrap();
    let listener = UnixListener::bind(folder.0.join(".s.PGSQL.6432")).unwrap();
    let server = server(&database);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            forward(client, server.clone());
        }
    });
    let folder = folder.0.to_str().unwrap();
    assert_ready(&with_address(&database, ":6432", &format!("?host={folder}"))).await;
    assert_ready(&with_address(&database, "", &format!("?host={folder}&port=6432"))).await;
    assert_ready(&with_address(&database, &format!("{}:6432", folder.replace('/', "%2F")), "")).await;
}

/// The URL of the database with another address, and another query.
fn with_address(database: &TestDatabase, address: &str, query: &str) -> String {
    let (credentials, rest) = database.url.split_once('@').unwrap();
    let path = rest.split_once('/').unwrap().1.split('?').next().unwrap();
    format!("{credentials}@{address}/{path}{query}")
}

fn server(database: &TestDatabase) -> (String, u16) {
    let options: PgConnectOptions = database.url.parse().unwrap();
    (options.get_host().to_owned(), options.get_port())
}

fn forward(mut client: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, server: (String, u16)) {
    tokio::spawn(async move {
        let mut server = TcpStream::connect(server).await.unwrap();
        let _ = copy_bidirectional(&mut client, &mut server).await;
    });
}

async fn assert_ready(url: &str) {
    let process = Process::serve(url);
    let ready = send(client().get(format!("http://{}/health/ready", process.management_address))).await;
    assert_eq!((ready.status, ready.text.as_str()), (200, r#"{"status":"UP"}"#));
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
