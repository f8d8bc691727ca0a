//! The ledger of purges: erased rows stay erased after a recovery from a backup.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use customer_deletion::resource::Resource;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::dba::maintenance::{
    age_deletions, age_operation, age_rows, change_restorations, maintenance, present, rows, run, told,
};
use crate::dba::verify::restored_late;
use crate::support::resources::{every_resource, table};
use crate::support::world::Family;
use crate::support::{TestDatabase, TestPool, TestService};

/// A file that is removed in the end.
struct File(PathBuf);

impl File {
    fn new() -> File {
        File(std::env::temp_dir().join(format!("customer-deletion-ledger-{}", Uuid::now_v7())))
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.0).unwrap_or_default()
    }

    fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The ids of all batches, with the names of their tables.
    fn ids(&self) -> BTreeSet<(String, String)> {
        let mut ids = BTreeSet::new();
        for line in self.lines().iter().filter(|line| line["ids"].is_array()) {
            let kind = line["kind"].as_str().unwrap();
            let table = match kind {
                "allocation" => "product_allocation".to_owned(),
                kind => kind.replace('-', "_"),
            };
            ids.extend(
                line["ids"].as_array().unwrap().iter().map(|id| (table.clone(), id.as_str().unwrap().to_owned())),
            );
        }
        ids
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A database whose service has ended, and its backup.
async fn backed_up(service: TestService) -> (TestDatabase, TestDatabase) {
    let database = Arc::clone(&service.database);
    drop(service);
    let backup = TestDatabase::copy_of(&database).await;
    // Its own pool is closed.
    let database = Arc::try_unwrap(database).unwrap_or_else(|_| panic!("somebody still uses the database"));
    (database.with_a_new_pool(), backup)
}

/// Returns the ids whose rows the database has.
async fn back(pool: &TestPool, ids: &BTreeSet<(String, String)>) -> Vec<(String, String)> {
    let mut back = Vec::new();
    for (table, id) in ids {
        let sql = format!("select count(*) from {table} where id = '{id}'");
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(pool).await.unwrap();
        if count > 0 {
            back.push((table.clone(), id.clone()));
        }
    }
    back
}

/// Deleted and live rows of each resource, and a sub-customer with a row in every table.
async fn furnish(service: &TestService) -> (Family, Uuid) {
    let (world, family) = (&service.world, service.world.family().await);
    let customer = world.customer(Some(family.requester)).await;
    for resource in every_resource() {
        let owner = family.in_scope(resource);
        let deleted = world.rows(resource, owner, 3).await;
        for id in &deleted {
            service.delete_one(family.requester, owner, resource, *id).await.assert_deleted();
        }
        age_deletions(&service.database.pool, resource, &deleted[..2], 91).await;
        world.row(resource, customer).await;
    }
    let product = world.product(family.requester).await;
    world.allocation(product, customer).await;
    let own_product = world.product(customer).await;
    world.allocation(own_product, customer).await;
    let (subscriber, plan) = (world.subscriber(customer).await, world.sell_plan(customer).await);
    world.external_params(customer, "subscriber_id", subscriber).await;
    world.external_params(customer, "sell_plan_id", plan).await;
    let unknown = Uuid::now_v7();
    let refused = service.delete_one(family.requester, family.requester, Resource::Zone, unknown).await.request_id();
    age_operation(&service.database.pool, refused, 91).await;
    (family, customer)
}

#[tokio::test]
async fn after_a_recovery_from_a_backup_a_replay_erases_everything_again() {
    let service = TestService::start().await;
    let (family, customer) = furnish(&service).await;
    let zone = service.world.zone(family.requester).await;
    let restored = service.delete_one(family.requester, family.requester, Resource::Zone, zone).await.assert_deleted();
    let contact = service.world.contact(family.sub_customer).await;
    run(&service.database, &["restore", "--operation", &restored.to_string()]).await.done();
    age_operation(&service.database.pool, restored, 91).await;
    change_restorations(&service.database.pool, "restored_at = restored_at - interval '91 days'").await;
    let (database, backup) = backed_up(service).await;
    let ledger = File::new();

    // In the backup these are live.
    age_rows(&database.pool, Resource::Contact, &[contact], 1).await;
    let kill = "update customer set deleted_at = now() where id = $1";
    sqlx::query(kill).bind(customer).execute(&database.pool).await.unwrap();
    for arguments in [
        &["--older-than", "90d"][..],
        &["--contact", &contact.to_string()],
        &["--customer", &family.requester.to_string(), "--batch-size", "2"],
        &["--customer", &customer.to_string()],
    ] {
        run(&database, &[&["purge", "--ledger", ledger.path()][..], arguments].concat()).await.done();
    }

    let erased = ledger.ids();
    let tables: BTreeSet<&str> = erased.iter().map(|(table, _)| table.as_str()).collect();
    let records = ["customer", "operation", "product_allocation", "restoration", "sell_plan", "subscriber"];
    let expected: BTreeSet<&str> = every_resource().map(table).chain(records).collect();
    assert_eq!(tables, expected);
    assert_eq!(back(&database.pool, &erased).await, []);
    assert_eq!(back(&backup.pool, &erased).await.len(), erased.len());
    let replay = ["purge", "--replay", ledger.path()];
    let dry = run(&backup, &[&replay[..], &["--dry-run"]].concat()).await.done();
    assert_eq!(back(&backup.pool, &erased).await.len(), erased.len());

    let said = run(&backup, &replay).await.done();
    assert_eq!(back(&backup.pool, &erased).await, []);
    for resource in every_resource() {
        assert_eq!(told(&dry, resource.word()), told(&said, resource.word()), "{dry} {said}");
    }
    for tables in every_resource().map(table).chain(records) {
        assert_eq!(rows(&backup.pool, tables).await, rows(&database.pool, tables).await, "{tables}");
    }
    let again = run(&backup, &replay).await.done();
    assert_eq!((told(&again, "contact"), told(&again, "zone"), told(&again, "product")), (0, 0, 0), "{again}");
    run(&backup, &["verify"]).await.done();
    run(&database, &["verify"]).await.done();
}

#[tokio::test]
async fn after_a_replay_the_record_of_a_restore_may_lack_its_operation() {
    let (database, backup) = backed_up(restored_late().await).await;
    let ledger = File::new();
    run(&database, &["purge", "--older-than", "90d", "--ledger", ledger.path()]).await.done();

    run(&backup, &["purge", "--replay", ledger.path()]).await.done();

    assert_eq!((rows(&backup.pool, "operation").await, rows(&backup.pool, "restoration").await), (0, 1));
    run(&backup, &["verify"]).await.done();
}

#[tokio::test]
async fn the_ledger_holds_ids_and_nothing_else() {
    let service = TestService::start().await;
    furnish(&service).await;
    let ledger = File::new();
    run(&service.database, &["purge", "--older-than", "90d", "--ledger", ledger.path()]).await.done();

    let lines = ledger.lines();
    assert!(lines.len() >= 12, "{lines:?}");
    for (number, pair) in lines.chunks(2).enumerate() {
        let batch = pair[0].as_object().unwrap();
        assert_eq!(batch.keys().collect::<Vec<_>>(), ["purge", "batch", "xid", "kind", "ids"]);
        assert!(batch["ids"].as_array().unwrap().iter().all(|id| id.as_str().unwrap().parse::<Uuid>().is_ok()));
        assert!(batch["xid"].as_str().unwrap().parse::<u64>().is_ok());
        assert_eq!(batch["batch"], number as u64 + 1);
        assert_eq!(pair[1], json!({"purge": batch["purge"], "batch": batch["batch"], "committed": true}));
    }
    let purge: Uuid = sqlx::query_scalar("select id from purge").fetch_one(&service.database.pool).await.unwrap();
    assert_eq!(lines[0]["purge"], purge.to_string());
}

/// Contacts of one customer that were deleted long ago and purged, with the ledger and the backup.
async fn purged(count: usize) -> (Uuid, Vec<Uuid>, File, TestDatabase) {
    let service = TestService::start().await;
    let customer = service.world.customer(None).await;
    let contacts = service.world.rows(Resource::Contact, customer, count).await;
    let (database, backup) = backed_up(service).await;
    let ledger = File::new();
    age_rows(&database.pool, Resource::Contact, &contacts, 91).await;
    let arguments = ["purge", "--older-than", "90d", "--batch-size", "1", "--pause", "0", "--ledger", ledger.path()];
    run(&database, &arguments).await.done();
    (customer, contacts, ledger, backup)
}

#[tokio::test]
async fn a_replay_respects_legal_holds_and_names_them() {
    let (customer, contacts, ledger, backup) = purged(3).await;
    let id = customer.to_string();
    run(&backup, &["hold", "--customer", &id, "--reason", "case 12/34"]).await.done();
    let replay = ["purge", "--replay", ledger.path()];

    let reasons = ["left, because of legal holds: 3", &format!("customer {customer}: 3")];
    run(&backup, &replay).await.refused(&reasons);
    assert_eq!(present(&backup.pool, Resource::Contact, &contacts).await, contacts);
    run(&backup, &["release", "--customer", &id]).await.done();
    run(&backup, &replay).await.done();
    assert_eq!(rows(&backup.pool, "contact").await, 0);
}

/// The last batch may or may not have been committed. Rows that are deleted in the backup are erased. The others need a
/// decision.
#[tokio::test]
async fn of_a_batch_without_an_end_only_deleted_rows_are_erased() {
    let (_, contacts, ledger, backup) = purged(3).await;
    let text = ledger.text();
    let lines: Vec<&str> = text.lines().collect();
    fs::write(&ledger.0, format!("{}\n{}", lines[..5].join("\n"), &lines[5][..10])).unwrap();
    let replay = ["purge", "--replay", ledger.path()];

    let xid = ledger_xid(lines[4]);
    let reason = format!("1 of its contact rows are live and stay; run `select pg_xact_status('{xid}')`");
    run(&backup, &replay).await.refused(&["does not show whether batch 3 of purge", &reason]);
    assert_eq!(present(&backup.pool, Resource::Contact, &contacts).await, contacts[2..]);
    age_rows(&backup.pool, Resource::Contact, &contacts[2..], 1).await;
    run(&backup, &replay).await.done();
    assert_eq!(rows(&backup.pool, "contact").await, 0);
}

fn ledger_xid(line: &str) -> String {
    let line: Value = serde_json::from_str(line).unwrap();
    line["xid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_purge_that_had_ended_before_the_backup_is_not_repeated() {
    let service = TestService::start().await;
    let customer = service.world.customer(None).await;
    let contacts = service.world.rows(Resource::Contact, customer, 2).await;
    let ledger = File::new();
    age_rows(&service.database.pool, Resource::Contact, &contacts, 91).await;
    run(&service.database, &["purge", "--older-than", "90d", "--ledger", ledger.path()]).await.done();
    assert_eq!(rows(&service.database.pool, "contact").await, 0);

    // A mistake: a DBA inserts them again.
    service.world.insert_rows(Resource::Contact, customer, &contacts).await;
    run(&service.database, &["purge", "--replay", ledger.path()]).await.done();

    assert!(service.world.deleted(Resource::Contact, &contacts).await.is_empty());
}

#[tokio::test]
async fn a_damaged_ledger_erases_nothing() {
    let (_, contacts, ledger, backup) = purged(3).await;
    let text = ledger.text();
    let lines: Vec<&str> = text.lines().collect();
    let without = |missing: usize| {
        let kept = lines.iter().enumerate().filter(|(index, _)| *index != missing).map(|(_, line)| *line);
        kept.collect::<Vec<_>>().join("\n") + "\n"
    };
    for (damaged, problem) in [
        (without(0), "line 1: batch 1 of purge"),
        (without(2), "line 3: batch 2 of purge"),
        (text.replace("\"contact\"", "\"person\""), "line 1: is not a line of a ledger"),
        (text.replace("committed", "done"), "line 2: is not a line of a ledger"),
        (format!("{}\n{text}", &lines[0][..30]), "line 1: is not a line of a ledger"),
        (text.replace(&contacts[2].to_string(), "x"), "line 5: is not a line of a ledger"),
    ] {
        fs::write(&ledger.0, &damaged).unwrap();
        let said = run(&backup, &["purge", "--replay", ledger.path()]).await;
        said.refused(&["nothing is erased: the ledger ", "is damaged: ", problem]);
        assert_eq!(rows(&backup.pool, "contact").await, 3);
        let said = run(&backup, &["purge", "--older-than", "90d", "--ledger", ledger.path()]).await;
        said.refused(&["is damaged: ", problem]);
        assert_eq!(ledger.text(), damaged);
    }
    fs::remove_file(&ledger.0).unwrap();
    run(&backup, &["purge", "--replay", ledger.path()]).await.refused(&["cannot be used: No such file"]);
}

/// Makes each commit that deletes contacts run this statement at its end.
async fn at_commit(pool: &TestPool, statement: &str) {
    let sql = format!(
        "create function at_commit() returns trigger language plpgsql as $$ begin {statement}; return null; end $$;
         create constraint trigger at_commit after delete on contact deferrable initially deferred
           for each row execute function at_commit()"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await.unwrap();
}

#[tokio::test]
async fn the_ids_are_in_the_ledger_before_the_commit() {
    let service = TestService::start().await;
    let (database, customer) = (&service.database, service.world.customer(None).await);
    let contacts = service.world.rows(Resource::Contact, customer, 1).await;
    age_rows(&database.pool, Resource::Contact, &contacts, 91).await;
    at_commit(&database.pool, "perform pg_sleep(3600)").await;
    let ledger = File::new();
    let arguments = ["purge", "--older-than", "90d", "--ledger", ledger.path()];
    let mut command = maintenance(database, &arguments);
    let mut purge = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();

    let began = Instant::now();
    while !ledger.text().ends_with('\n') {
        assert!(began.elapsed() < Duration::from_secs(20), "nothing is written");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(rows(&database.pool, "contact").await, 1);
    run(database, &["purge", "--older-than", "90d"]).await.refused(&["another purge is running"]);
    purge.kill().unwrap();
    purge.wait().unwrap();
    let end = "drop trigger at_commit on contact";
    let sql = "select pg_terminate_backend(pid, 10000) from pg_stat_activity
        where datname = current_database() and application_name = 'customer-deletion purge'";
    sqlx::raw_sql(sql).execute(&database.pool).await.unwrap();
    sqlx::raw_sql(end).execute(&database.pool).await.unwrap();

    assert_eq!(ledger.lines().len(), 1);
    assert_eq!(ledger.lines()[0]["ids"], json!([contacts[0]]));
    // The same command continues, with the same file.
    run(database, &arguments).await.done();
    assert_eq!((ledger.lines().len(), rows(&database.pool, "contact").await), (3, 0));
}

#[tokio::test]
async fn a_batch_that_the_commit_refuses_is_not_erased_again() {
    let service = TestService::start().await;
    let customer = service.world.customer(None).await;
    let contacts = service.world.rows(Resource::Contact, customer, 2).await;
    let (database, backup) = backed_up(service).await;
    age_rows(&database.pool, Resource::Contact, &contacts, 91).await;
    let refuse = format!("if old.id = '{}' then raise exception 'under investigation'; end if", contacts[0]);
    at_commit(&database.pool, &refuse).await;
    let ledger = File::new();

    let said = run(&database, &["purge", "--older-than", "90d", "--ledger", ledger.path()]).await;
    said.refused(&["1 row stays", "under investigation"]);
    assert_eq!(ledger.lines().iter().filter(|line| line["committed"] == false).count(), 2);
    run(&backup, &["purge", "--replay", ledger.path()]).await.done();

    assert_eq!(present(&database.pool, Resource::Contact, &contacts).await, contacts[..1]);
    assert_eq!(present(&backup.pool, Resource::Contact, &contacts).await, contacts[..1]);
}

#[tokio::test]
async fn two_purges_do_not_write_one_ledger() {
    let database = TestDatabase::migrated().await;
    let ledger = File::new();
    let open = fs::File::create(&ledger.0).unwrap();
    open.lock().unwrap();
    let said = run(&database, &["purge", "--older-than", "90d", "--ledger", ledger.path()]).await;
    said.refused(&["is written by another process"]);
    assert_eq!(rows(&database.pool, "purge").await, 0);
}
