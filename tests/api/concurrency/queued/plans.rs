//! The plans of the statements of the queue, for a full queue and for plans of any age.

use crate::support::TestDatabase;
use crate::support::plan::generic_plan;

const FULL: &str = "
    insert into operation_queue (operation_id, requester_id, customer_id, rank)
    select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), number from generate_series(1, 20000) as number";

/// Each statement with the types of its parameters and its index.
const STATEMENTS: [(&str, &str, &str); 7] = [
    (include_str!("../../../../src/queue/sql/claim_operation.sql"), "uuid, float8, text[]", "operation_queue_rank"),
    (
        include_str!("../../../../src/queue/sql/accept_operation.sql"),
        "uuid, uuid, uuid, text, uuid[], text, bigint, text",
        "operation_queue_requester",
    ),
    (include_str!("../../../../src/queue/sql/lock_operation.sql"), "uuid, uuid, text, text", "operation_queue_pkey"),
    (
        include_str!("../../../../src/queue/sql/end_operation.sql"),
        "uuid, uuid, text, text, uuid[], integer, text, integer",
        "operation_queue_pkey",
    ),
    (include_str!("../../../../src/queue/sql/postpone_operation.sql"), "uuid, uuid, float8", "operation_queue_pkey"),
    (include_str!("../../../../src/queue/sql/cancel_operation.sql"), "uuid, uuid", "operation_queue_pkey"),
    (include_str!("../../../../src/queue/sql/watch_operation.sql"), "uuid", "operation_queue_pkey"),
];

#[tokio::test]
async fn queue_statements_use_their_index_and_sort_nothing() {
    let database = TestDatabase::migrated().await;
    let mut connection = database.pool.acquire().await.unwrap();
    for before in ["select 1", "analyze operation_queue", FULL, "analyze operation_queue", "vacuum operation_queue"] {
        sqlx::raw_sql(before).execute(&mut *connection).await.unwrap();
        for (sql, types, index) in STATEMENTS {
            let plan = generic_plan(&mut connection, sql, types).await;
            assert!(plan.iter().any(|line| line.contains(index)), "{before}: {sql}: {plan:#?}");
            let wrong = "operation_queue_rank on operation_queue";
            let reads_all = |line: &String| {
                line.contains("Sort")
                    || line.contains("Seq Scan on operation_queue")
                    || (index == "operation_queue_pkey" && line.contains(wrong))
            };
            assert!(!plan.iter().any(reads_all), "{before}: {sql}: {plan:#?}");
        }
    }
}
