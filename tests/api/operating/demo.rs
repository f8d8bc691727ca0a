//! `demo`, started in a shell whose variables are set for other work.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use reqwest::{Method, RequestBuilder};
use uuid::Uuid;

use crate::support::client;
use crate::support::process::command;
use crate::support::service::send;

/// Ids of the sample data.
const NORDLICHT_TELEKOM: &str = "5b0c2a94-7d36-4e58-9a1f-c3e86d4f0b27";
const HAFENLOGISTIK_NORD: &str = "a91d4e60-38fb-4c72-b5d9-1e07f2c6a843";
const CONTACT: &str = "3c8e71f5-90a2-4b6d-8e34-7f15d2a6c098";
const OPERATION: &str = "01946983-4c40-7e85-a42b-13860913b370";

/// Variables of libpq with which no connection and no server of the demo would work.
const OF_LIBPQ: [(&str, &str); 5] = [
    ("PGOPTIONS", "-c default_transaction_read_only=on"),
    ("PGSSLMODE", "verify-full"),
    ("PGSSLROOTCERT", "/nowhere/root.crt"),
    ("PGPORT", "none"),
    ("PGDATA", "/nowhere/data"),
];

/// A running demo. It is ended, and its data removed, when it is dropped.
struct Demo {
    process: Child,
    address: String,
    folder: PathBuf,
}

impl Demo {
    /// Waits until it has printed the address of the service.
    fn start(environment: &[(&str, &str)]) -> Demo {
        let folder = std::env::temp_dir().join(format!("customer-deletion-demo-{}", Uuid::now_v7()));
        let mut process = command(&["demo", "--data-dir"])
            .arg(&folder)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let address = lines.find_map(|line| line.strip_prefix("Service       http://").map(str::to_owned));
        // Reads to the end, so that the process never waits for a full pipe.
        std::thread::spawn(move || lines.count());
        let mut demo = Demo { process, address: String::new(), folder };
        demo.address = address.expect("the demo serves");
        demo
    }

    fn call(&self, method: Method, path: &str) -> RequestBuilder {
        let call = client().request(method, format!("http://{}{path}", self.address));
        call.header("X-Requester-Id", NORDLICHT_TELEKOM)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn free_port() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()
}

#[tokio::test]
async fn the_demo_is_its_own_whatever_the_shell_is_set_up_for() {
    let (port, management) = (free_port(), free_port());
    let ports = [
        ("CUSTOMER_DELETION__HTTP__PORT", port.as_str()),
        ("CUSTOMER_DELETION__MANAGEMENT__PORT", management.as_str()),
    ];
    let demo = tokio::task::spawn_blocking({
        let environment: Vec<(String, String)> =
            OF_LIBPQ.iter().chain(&ports).map(|(name, value)| (name.to_string(), value.to_string())).collect();
        move || {
            let environment: Vec<_> = environment.iter().map(|(name, value)| (&**name, &**value)).collect();
            Demo::start(&environment)
        }
    });
    let demo = demo.await.unwrap();
    assert_eq!(demo.address, format!("127.0.0.1:{port}"));
    assert_eq!(send(client().get(format!("http://127.0.0.1:{management}/health/live"))).await.status, 200);

    // The operation of the sample data is found by its id, and is the oldest in the list.
    let status = send(demo.call(Method::GET, &format!("/api/v2/global/call/{}", OPERATION))).await;
    assert_eq!(status.json()["content"][0]["status"], "SUCCESS");
    let path = format!("/api/v2/customer/{}/contact/{}", HAFENLOGISTIK_NORD, CONTACT);
    let newest = send(demo.call(Method::DELETE, &path)).await.assert_deleted().to_string();
    let list = send(demo.call(Method::GET, "/api/v3/global/call")).await.json();
    let ids: Vec<_> =
        list["content"].as_array().unwrap().iter().map(|call| call["requestId"].as_str().unwrap()).collect();
    assert_eq!(ids, [newest.as_str(), OPERATION]);

    let foreign = demo.call(Method::GET, "/api/v3/global/call").header("Host", "rebound.example.com");
    assert_eq!(send(foreign).await.status, 400);
}

#[test]
fn an_invalid_port_stops_the_demo_and_is_named() {
    let mut demo = command(&["demo", "--data-dir", "/nowhere/demo"]);
    let output = demo.env("CUSTOMER_DELETION__HTTP__PORT", "http").output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(message.starts_with("customer-deletion: CUSTOMER_DELETION__HTTP__PORT: "), "{message}");
}
