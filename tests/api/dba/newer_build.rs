//! During a rollout, a newer build stores words that this build does not know. This build shows them as they are stored, and
//! does not act on what it does not know.

use customer_deletion::resource::Resource;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::dba::maintenance::{age_deletions, age_operation, run};
use crate::support::service::{Answer, collection, send, validating};
use crate::support::world::Family;
use crate::support::{TestPool, TestService};

/// The migrations of the newer build: another resource, another status, another type of contacts.
const MIGRATIONS: [&str; 3] = [
    "alter type resource add value 'newer-resource'",
    "alter type contact_type add value 'GUEST'",
    "do $$
     begin
       execute replace(
         pg_get_functiondef('operation_is_valid'::regproc),
         'else false',
         'when ''EXPIRED'' then completed_at is not null else false'
       );
     end
     $$",
];

const MESSAGE: &str = "A newer version of the service refused the call.";

/// An operation as the newer build has recorded it.
#[derive(Clone, Copy)]
struct Recorded {
    resource: &'static str,
    status: &'static str,
    error_code: Option<&'static str>,
}

const NEWER_RESOURCE: Recorded = Recorded { resource: "newer-resource", status: "SUCCESS", error_code: None };
const EXPIRED: Recorded = Recorded { resource: "contact", status: "EXPIRED", error_code: None };
const REFUSED: Recorded = Recorded { resource: "contact", status: "FAILURE", error_code: Some("CUSTOMER_1099") };

struct Stage {
    service: TestService,
    family: Family,
    contact: Uuid,
}

impl Stage {
    async fn new() -> Stage {
        let service = TestService::start().await;
        for sql in MIGRATIONS {
            sqlx::raw_sql(sql).execute(service.pool()).await.unwrap();
        }
        let family = service.world.family().await;
        let contact = service.world.contact(family.sub_customer).await;
        Stage { service, family, contact }
    }

    /// Records an operation about the contact, under a key that is the name of the status or code.
    async fn record(&self, recorded: Recorded) -> Uuid {
        let sql = "
            insert into operation (
              id, requester_id, customer_id, resource, target_ids, status, error_code, deleted_rows, idempotency_key, completed_at
            )
            values ($1, $2, $3, $4::text::resource, array[$5], $6, $7, ($6 = 'SUCCESS')::integer, $8, now())";
        let id = Uuid::now_v7();
        sqlx::query(sql)
            .bind(id)
            .bind(self.family.requester)
            .bind(self.family.sub_customer)
            .bind(recorded.resource)
            .bind(self.contact)
            .bind(recorded.status)
            .bind(recorded.error_code)
            .bind(key(recorded))
            .execute(self.service.pool())
            .await
            .unwrap();
        id
    }

    async fn details(&self, id: Uuid) -> Value {
        self.service.details(self.family.requester, id).await.json()["content"][0].clone()
    }

    async fn list(&self, query: &str) -> Vec<Value> {
        let path = format!("/api/v3/global/call{query}");
        let answer = send(self.service.call(Method::GET, &path, self.family.requester)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["content"].as_array().unwrap().clone()
    }

    /// The same deletion of the contact again, under the key of an operation.
    fn again(&self, recorded: Recorded) -> reqwest::RequestBuilder {
        let path = format!("{}/{}", collection(self.family.sub_customer, Resource::Contact), self.contact);
        let call = self.service.call(Method::DELETE, &path, self.family.requester);
        call.header("Idempotency-Key", key(recorded))
    }

    async fn assert_contact_is_live(&self) {
        assert!(self.service.world.deleted(Resource::Contact, &[self.contact]).await.is_empty());
    }
}

fn key(recorded: Recorded) -> String {
    format!("{}-{}", recorded.resource, recorded.error_code.unwrap_or(recorded.status))
}

trait Database {
    fn pool(&self) -> &TestPool;
}

impl Database for TestService {
    fn pool(&self) -> &TestPool {
        &self.database.pool
    }
}

#[track_caller]
fn assert_replayed(answer: &Answer, id: Uuid) {
    assert_eq!((answer.request_id(), answer.header("Idempotency-Replayed")), (id, Some("true")));
}

#[tokio::test]
async fn the_words_of_an_operation_are_shown_as_they_are_stored() {
    let stage = Stage::new().await;
    for (recorded, message) in [(NEWER_RESOURCE, ""), (EXPIRED, ""), (REFUSED, MESSAGE)] {
        let id = stage.record(recorded).await;

        let status = stage.service.status(stage.family.requester, id).await;
        assert_eq!((status.status, &status.json()["content"]), (200, &json!([{ "status": recorded.status }])));
        let details = stage.details(id).await;
        for (member, expected) in [
            ("resource", recorded.resource),
            ("status", recorded.status),
            ("errorCode", recorded.error_code.unwrap_or_default()),
            ("errorMessage", message),
        ] {
            assert_eq!(details[member], expected, "{details}");
        }
    }
}

#[tokio::test]
async fn the_list_has_them_too() {
    let stage = Stage::new().await;
    let mut ids = [stage.record(NEWER_RESOURCE).await, stage.record(EXPIRED).await, stage.record(REFUSED).await];
    ids.reverse();
    let listed = async |query| {
        let calls = stage.list(query).await;
        calls.iter().map(|call| call["requestId"].as_str().unwrap().parse().unwrap()).collect::<Vec<Uuid>>()
    };

    assert_eq!(listed("").await, ids);
    assert_eq!(listed("?status=SUCCESS").await, ids[2..]);
    assert_eq!(listed("?resource=contact").await, ids[..2]);
    assert_eq!(stage.list("?status=SUCCESS").await[0]["resource"], "newer-resource");
}

#[tokio::test]
async fn a_replay_of_an_unknown_refusal_has_its_code_and_is_a_conflict() {
    let stage = Stage::new().await;
    let id = stage.record(REFUSED).await;

    for call in [stage.again(REFUSED), validating(stage.again(REFUSED))] {
        let answer = send(call).await;
        answer.assert_failed(409, "CUSTOMER_1099", MESSAGE);
        assert_replayed(&answer, id);
    }
    let accepted = send(stage.again(REFUSED).header("Prefer", "respond-async")).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    assert_replayed(&accepted, id);
    stage.assert_contact_is_live().await;
    let metrics = stage.service.management("/metrics").await.text;
    assert!(metrics.contains(r#"code="CUSTOMER_1099""#), "{metrics}");
}

#[tokio::test]
async fn a_replay_of_an_unknown_status_is_left_to_the_newer_build() {
    let stage = Stage::new().await;
    stage.record(EXPIRED).await;

    for call in [stage.again(EXPIRED), validating(stage.again(EXPIRED))] {
        let answer = send(call).await;
        answer.assert_failed(503, "GLOBAL_1001", "Service unavailable. Please try again");
        assert_eq!(answer.header("Retry-After"), Some("1"));
    }
    stage.assert_contact_is_live().await;
    assert_eq!(stage.service.world.operations().await, 1);
}

#[tokio::test]
async fn the_key_of_an_unknown_resource_is_used() {
    let stage = Stage::new().await;
    stage.record(NEWER_RESOURCE).await;

    let answer = send(stage.again(NEWER_RESOURCE)).await;

    assert_eq!((answer.status, &answer.json()["errorCode"]), (422, &json!("IDEMPOTENCY_KEY_REUSED")));
    stage.assert_contact_is_live().await;
}

/// The rows of the newer resource are in a table that this build does not read. Its operation is still needed for them.
#[tokio::test]
async fn a_purge_keeps_operations_with_unknown_words_and_says_so() {
    let stage = Stage::new().await;
    let pool = stage.service.pool();
    let kept = [stage.record(NEWER_RESOURCE).await, stage.record(EXPIRED).await];
    let refused = stage.record(REFUSED).await;
    for id in [kept[0], kept[1], refused] {
        age_operation(pool, id, 100).await;
    }

    for arguments in [&["purge", "--older-than", "90d", "--dry-run"][..], &["purge", "--older-than", "90d"]] {
        let said = run(&stage.service.database, arguments).await.done();
        let left = "operations left, because only a newer build knows their resource or status: 2\n";
        assert!(said.contains(left), "{said}");
    }

    let left: Vec<Uuid> = sqlx::query_scalar("select id from operation order by id").fetch_all(pool).await.unwrap();
    assert_eq!(left, kept);
}

#[tokio::test]
async fn a_restore_of_an_operation_with_unknown_words_is_refused() {
    let stage = Stage::new().await;
    for (recorded, word) in [(NEWER_RESOURCE, "newer-resource"), (EXPIRED, "EXPIRED")] {
        let id = stage.record(recorded).await.to_string();
        let reason = format!("has the word `{word}`, which this build does not know; run the newer build");
        run(&stage.service.database, &["restore", "--operation", &id]).await.refused(&["nothing is restored", &reason]);
    }
}

#[tokio::test]
async fn a_purge_of_an_operation_with_an_unknown_resource_is_refused() {
    let stage = Stage::new().await;
    let id = stage.record(NEWER_RESOURCE).await.to_string();
    let reason = "has the word `newer-resource`, which this build does not know; run the newer build";
    run(&stage.service.database, &["purge", "--operation", &id]).await.refused(&["nothing is erased", reason]);
}

#[tokio::test]
async fn a_contact_of_an_unknown_type_is_deleted_restored_and_erased() {
    let stage = Stage::new().await;
    let (service, family) = (&stage.service, stage.family);
    service.world.execute("update contact set type = 'GUEST' where id = $1", stage.contact).await;
    let delete = || service.delete_one(family.requester, family.sub_customer, Resource::Contact, stage.contact);

    let id = delete().await.assert_deleted().to_string();
    run(&service.database, &["restore", "--operation", &id]).await.done();
    delete().await.assert_deleted();
    age_deletions(service.pool(), Resource::Contact, &[stage.contact], 91).await;
    run(&service.database, &["purge", "--older-than", "90d"]).await.done();

    let rows: i64 = sqlx::query_scalar("select count(*) from contact").fetch_one(service.pool()).await.unwrap();
    assert_eq!(rows, 0);
}
