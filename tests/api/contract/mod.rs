//! The calls of the contract and their answers: successes, refusals, records and pages.

mod actor;
mod details;
mod docs;
mod failures;
mod headers;
mod idempotency;
mod listing;
mod openapi;
mod operations;
mod problems;
mod refusals;
mod shapes;
mod successes;
mod trailing_slash;
mod validation;

use uuid::Uuid;

use crate::support::TestService;

/// Inserts an open operation of the requester about its zone, under the key `k`.
async fn open_under_key_k(service: &TestService, requester: Uuid, zone: Uuid) {
    sqlx::query(
        "insert into operation (id, requester_id, customer_id, resource, target_ids, status, idempotency_key)
         values (gen_random_uuid(), $1, $1, 'zone', array[$2], 'OPEN', 'k')",
    )
    .bind(requester)
    .bind(zone)
    .execute(&service.database.pool)
    .await
    .unwrap();
}

/// From now on, a deletion of contacts fails with a defect.
async fn let_contacts_fail(service: &TestService) {
    sqlx::raw_sql(
        "create function fail() returns trigger language plpgsql as $$ begin raise 'a defect'; end $$;
         create trigger fail before update on contact for each row execute function fail();",
    )
    .execute(&service.database.pool)
    .await
    .unwrap();
}
