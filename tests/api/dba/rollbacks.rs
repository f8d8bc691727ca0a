//! A list that is refused in part has its other rows rolled back, and this cost is bounded.

use customer_deletion::resource::Resource;
use rstest::rstest;
use uuid::Uuid;

use crate::support::world::Family;
use crate::support::{TestPool, TestService};

/// Counts updates of contacts, including those that are rolled back. Must be called before the first.
async fn count_updates(pool: &TestPool) {
    let sql = "
        create sequence updates;
        create function count_update() returns trigger language plpgsql security definer as $$
        begin
          perform nextval('public.updates');
          return new;
        end $$;
        create trigger count_update before update on contact for each row execute function count_update();
        select nextval('updates');";
    sqlx::raw_sql(sql).execute(pool).await.unwrap();
}

async fn updates(pool: &TestPool) -> i64 {
    sqlx::query_scalar("select last_value - 1 from updates").fetch_one(pool).await.unwrap()
}

/// This many contacts of the family's sub-customer, and one unknown id.
async fn partly_unknown(service: &TestService, family: Family, known: i32) -> Vec<Uuid> {
    let insert = "insert into contact (id, customer_id, email, mobile)
         select gen_random_uuid(), $1, 'a@example.com', '+49' from generate_series(1, $2) returning id";
    let rows = sqlx::query_scalar(insert).bind(family.sub_customer).bind(known);
    let mut ids: Vec<Uuid> = rows.fetch_all(&service.database.pool).await.unwrap();
    ids.push(Uuid::max());
    ids
}

async fn assert_unknown(service: &TestService, family: Family, ids: &[Uuid]) {
    let answer = service.delete_list(family.requester, family.sub_customer, Resource::Contact, ids).await;
    answer.assert_failed(404, "CUSTOMER_1017", "Unknown Contact ID");
}

#[tokio::test]
async fn after_a_rollback_the_lists_of_the_requester_are_inspected_before_they_are_tried() {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let (family, other) = (service.world.family().await, service.world.family().await);
    count_updates(pool).await;
    let ids = partly_unknown(&service, family, 3).await;

    assert_unknown(&service, family, &ids).await;
    assert_eq!(updates(pool).await, 3);
    for _ in 0..3 {
        assert_unknown(&service, family, &ids).await;
    }
    assert_eq!(updates(pool).await, 3, "later lists of the requester are not tried");
    let ids_of_other = partly_unknown(&service, other, 2).await;
    assert_unknown(&service, other, &ids_of_other).await;
    assert_eq!(updates(pool).await, 5, "those of another requester are");

    let answer = service.delete_list(family.requester, family.sub_customer, Resource::Contact, &ids[..3]).await;
    answer.assert_deleted();
    assert_eq!(service.world.deleted(Resource::Contact, &ids).await.len(), 3);
}

#[rstest]
#[case::as_long_as_is_tried(99, 99)]
#[case::longer(100, 0)]
#[tokio::test]
async fn a_long_list_is_inspected_before_it_is_tried(#[case] known: i32, #[case] expected: i64) {
    let service = TestService::start().await;
    let pool = &service.database.pool;
    let family = service.world.family().await;
    count_updates(pool).await;
    let ids = partly_unknown(&service, family, known).await;

    assert_unknown(&service, family, &ids).await;

    assert_eq!(updates(pool).await, expected);
}
