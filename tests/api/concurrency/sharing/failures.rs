//! A failure of a shared statement costs no call its outcome.

use std::time::Duration;

use customer_deletion::resource::Resource;
use rstest::rstest;
use uuid::Uuid;

use super::{Stage, answers, code};
use crate::support::proxy::{Proxy, Weather};
use crate::support::service::{hang_up, send_deletion};
use crate::support::until;

/// Each row takes half a second, so that a test can act in the middle of a statement.
const SLOWLY: &str = "
    create function slowly() returns trigger language plpgsql as $$ begin perform pg_sleep(0.5); return new; end $$;
    create trigger slowly before update on contact for each row execute function slowly();";

#[tokio::test]
async fn a_backend_that_is_ended_in_the_middle_costs_no_call_anything() {
    let stage = Stage::new().await;
    stage.run(SLOWLY).await;
    let contacts = stage.world.rows(Resource::Contact, stage.family.sub_customer, 4).await;

    let occupied = stage.occupy().await;
    let waiting = stage.queue(contacts.iter().map(|id| stage.own_call(Resource::Contact, &[*id]))).await;
    occupied.let_go().await;
    let pid = stage.until_waiting("-- share_contacts:", "Timeout").await;
    sqlx::query("select pg_terminate_backend($1)").bind(pid).execute(&stage.database.pool).await.unwrap();

    let operations: Vec<Uuid> = answers(waiting).await.iter().map(|answer| answer.assert_deleted()).collect();
    assert_eq!(stage.transactions(&operations).await, 4);
    assert_eq!(stage.shared("contact").await, [1.0, 0.0, 4.0]);
    stage.assert_rows_and_operations_agree().await;
}

/// Neither the service nor its callers can know whether the statement was committed.
#[rstest]
#[case::cut(true)]
#[case::silent_for_ever(false)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_before_the_result_is_there_costs_no_call_its_outcome(#[case] is_cut: bool) {
    let (database, proxy, url) = Proxy::with_database().await;
    let stage = Stage::on(database, &url, &[]).await;
    stage.run(SLOWLY).await;
    let contacts = stage.world.rows(Resource::Contact, stage.family.sub_customer, 4).await;

    let occupied = stage.occupy().await;
    let waiting = stage.queue(contacts.iter().map(|id| stage.own_call(Resource::Contact, &[*id]))).await;
    occupied.let_go().await;
    stage.until_waiting("-- share_contacts:", "Timeout").await;
    if is_cut {
        proxy.set(Weather::Frozen)
    } else {
        proxy.abandon_connections()
    }
    until(|| async { !stage.world.deleted(Resource::Contact, &contacts).await.is_empty() }).await;
    if is_cut {
        proxy.set(Weather::Cut);
        tokio::time::sleep(Duration::from_millis(50)).await;
        proxy.set(Weather::Fair);
    }

    let operations: Vec<Uuid> = answers(waiting).await.iter().map(|answer| answer.assert_deleted()).collect();
    assert_eq!(stage.transactions(&operations).await, 1, "it was committed after all");
    assert_eq!(stage.shared("contact").await, [1.0, 0.0, 4.0]);
    stage.assert_rows_and_operations_agree().await;
}

#[tokio::test]
async fn a_row_that_cannot_be_written_is_an_error_of_its_own_call() {
    let stage = Stage::new().await;
    let contacts = stage.world.rows(Resource::Contact, stage.family.sub_customer, 3).await;
    stage
        .run(&format!(
            "create function break() returns trigger language plpgsql as $$ begin raise exception 'broken'; end $$;
             create trigger break before update on contact for each row when (old.id = '{}') execute function break();",
            contacts[1]
        ))
        .await;

    let occupied = stage.occupy().await;
    let waiting = stage.queue(contacts.iter().map(|id| stage.own_call(Resource::Contact, &[*id]))).await;
    occupied.let_go().await;

    let answers = answers(waiting).await;
    let codes: Vec<u16> = answers.iter().map(|answer| code(answer).0).collect();
    assert_eq!(codes, [200, 500, 200]);
    let statuses: Vec<String> =
        sqlx::query_scalar("select status from operation where id = any($1) order by array_position($1, id)")
            .bind(answers.iter().map(|answer| answer.request_id()).collect::<Vec<Uuid>>())
            .fetch_all(&stage.database.pool)
            .await
            .unwrap();
    assert_eq!(statuses, ["SUCCESS", "INTERNAL_ERROR", "SUCCESS"]);
    stage.assert_rows_and_operations_agree().await;
}

#[tokio::test]
async fn a_call_whose_client_is_gone_is_executed_with_the_others() {
    let stage = Stage::new().await;
    let contacts = stage.world.rows(Resource::Contact, stage.family.sub_customer, 3).await;

    let occupied = stage.occupy().await;
    let mut waiting = stage.queue([stage.own_call(Resource::Contact, &contacts[..1])]).await;
    let queued = stage.queued();
    let client = send_deletion(stage.process.address, stage.family, contacts[1]).await;
    stage.until_more_than(queued).await;
    hang_up(client).await;
    waiting.extend(stage.queue([stage.own_call(Resource::Contact, &contacts[2..])]).await);
    occupied.let_go().await;

    answers(waiting).await.iter().for_each(|answer| _ = answer.assert_deleted());
    assert_eq!(stage.world.deleted(Resource::Contact, &contacts).await, contacts);
    assert_eq!(stage.shared("contact").await, [1.0, 3.0, 0.0]);
}

#[tokio::test]
async fn other_work_gets_its_connection_while_calls_keep_coming() {
    let stage = Stage::new().await;
    let contacts = stage.world.rows(Resource::Contact, stage.family.sub_customer, 10).await;

    let occupied = stage.occupy().await;
    let waiting = stage.queue(contacts.iter().map(|id| stage.own_call(Resource::Contact, &[*id]))).await;
    let status = format!("http://{}/api/v2/global/call/{}", stage.process.address, Uuid::now_v7());
    let status = crate::support::client().get(status).header("X-Requester-Id", stage.family.requester.to_string());
    let status = stage.let_wait([status]).await;
    occupied.let_go().await;

    assert_eq!(answers(status).await[0].status, 404);
    answers(waiting).await.iter().for_each(|answer| _ = answer.assert_deleted());
}
