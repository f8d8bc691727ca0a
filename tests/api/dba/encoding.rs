//! Databases in another encoding than UTF-8. PostgreSQL converts whole statements, including comments, and rejects a character
//! that the database's encoding does not have.

use std::fs;
use std::path::{Path, PathBuf};

use customer_deletion::resource::Resource;
use customer_deletion::schema;

use crate::concurrency::queued::{accept, ended};
use crate::dba::maintenance;
use crate::support::process::{command, output};
use crate::support::resources::contract;
use crate::support::{TestDatabase, TestService};

/// The folders of the repository that contain SQL.
const FOLDERS: [&str; 6] = ["migrations", "src", "deploy", "tests", "benches", ".ci"];

fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { files_below(&path, extension) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

fn files_of_the_repository(extension: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    FOLDERS.iter().flat_map(|folder| files_below(&root.join(folder), extension)).collect()
}

#[track_caller]
fn assert_ascii(files: &[PathBuf]) {
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        let lines: Vec<(usize, &str)> = text.lines().enumerate().filter(|(_, line)| !line.is_ascii()).collect();
        assert!(lines.is_empty(), "{}: {lines:?}", file.display());
    }
}

#[test]
fn every_sql_file_is_ascii() {
    let files = files_of_the_repository("sql");
    assert!(files.len() > 100, "{files:?}");
    assert_ascii(&files);
}

#[test]
fn rust_that_speaks_sql_is_ascii() {
    let speaks_sql = |file: &PathBuf| {
        file.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().starts_with("src")
            && fs::read_to_string(file).unwrap().contains("sqlx::")
    };
    let files: Vec<PathBuf> = files_of_the_repository("rs").into_iter().filter(speaks_sql).collect();
    assert!(files.len() > 20, "{files:?}");
    assert_ascii(&files);
}

#[tokio::test]
async fn the_service_and_the_commands_work_in_a_latin1_database() {
    let database = TestDatabase::empty_with("encoding 'LATIN1' locale 'C'").await;
    let encoding: String = sqlx::query_scalar("show server_encoding").fetch_one(&database.pool).await.unwrap();
    assert_eq!(encoding, "LATIN1");
    schema::migrate(&database.url.parse().unwrap()).await.unwrap();
    database.grant().await;
    let demo = output(command(&["demo", "--load"]).env("DATABASE_URL", &database.url));
    assert!(demo.status.success(), "{}", String::from_utf8_lossy(&demo.stderr));

    let service = TestService::start_on(database, |settings| settings.queue.workers = 1).await;
    let family = service.world.family().await;
    for resource in Resource::ALL {
        let customer = family.in_scope(resource);
        let [row, other] = service.world.rows(resource, customer, 2).await.try_into().unwrap();
        service.delete_one(family.requester, customer, resource, row).await.assert_deleted();
        let operation = accept(&service, family.requester, customer, resource, &[other]).await;
        assert_eq!(ended(&service, family.requester, operation).await["status"], "SUCCESS");
        if contract(resource).takes_list {
            let restore = ["restore", "--operation", &operation.to_string()];
            maintenance::run(&service.database, &restore).await.done();
        }
    }
    maintenance::run(&service.database, &["purge", "--older-than", "90d"]).await.done();
}
