//! Each call of a shared statement has its own outcome.

use std::time::Duration;

use customer_deletion::resource::Resource;
use rstest::rstest;
use uuid::Uuid;

use super::{Stage, answers, code};
use crate::support::StallWatch;
use crate::support::resources::{contract, every_list};

#[tokio::test]
async fn a_refusal_is_that_of_its_own_call() {
    let mut stage = Stage::new().await;
    for resource in every_list() {
        let unknown = contract(resource).unknown.0;
        let not_yours = contract(resource).not_yours.0;
        let wrong_depth = contract(resource).not_yours.0;
        stage.family = stage.world.family().await;
        let (world, family, recorded) = (&stage.world, stage.family, stage.world.operations().await);
        let stranger = world.family().await;
        let rows = world.rows(resource, family.in_scope(resource), 5).await;
        let foreign = world.row(resource, stranger.in_scope(resource)).await;
        let deeper = world.row(resource, family.grandchild).await;
        let dead = world.customer(Some(family.parent)).await;
        world.kill_customer(dead).await;
        let dead = if resource.rules().scope.depth() == 0 { (dead, dead) } else { (family.parent, dead) };
        let of_the_dead = world.row(resource, dead.1).await;

        let occupied = stage.occupy().await;
        let waiting = stage
            .queue([
                stage.own_call(resource, &rows[..1]),
                stage.own_call(resource, &[rows[1], Uuid::now_v7()]),
                stage.own_call(resource, &[rows[1], foreign]),
                stage.call(family.requester, stranger.in_scope(resource), resource, &[foreign]),
                stage.call(family.requester, family.grandchild, resource, &[deeper]),
                stage.call(dead.0, dead.1, resource, &[of_the_dead]),
                stage.own_call(resource, &rows[2..4]),
            ])
            .await;
        occupied.let_go().await;

        let answers = answers(waiting).await;
        let codes: Vec<(u16, String)> = answers[1..6].iter().map(code).collect();
        let expected = [unknown, not_yours, "CUSTOMER_1002", wrong_depth, "CUSTOMER_1002"];
        assert_eq!(codes, expected.map(|code| (404, code.to_owned())));
        let done = [answers[0].assert_deleted(), answers[6].assert_deleted()];
        assert_eq!(stage.transactions(&done).await, 1, "what failed did not keep the others apart");
        let everything = [&rows[..], &[foreign, deeper, of_the_dead]].concat();
        assert_eq!(world.deleted(resource, &everything).await, [rows[0], rows[2], rows[3]]);
        // One for the call that kept the connection busy, and one for each other call.
        assert_eq!(world.operations().await, recorded + 8);
        stage.assert_rows_and_operations_agree().await;
    }
}

#[tokio::test]
async fn params_on_what_is_not_the_requesters_own_are_refused_beside_one_that_is() {
    let stage = Stage::new().await;
    let (world, family) = (&stage.world, stage.family);
    let (subscriber, sell_plan) =
        (world.subscriber(family.sub_customer).await, world.sell_plan(family.sub_customer).await);
    let (own_dead, dead) = (world.subscriber(family.requester).await, world.subscriber(family.sibling).await);
    for dead in [own_dead, dead] {
        world.execute("update subscriber set deleted_at = now() where id = $1", dead).await;
    }
    let own = world.external_params(family.requester, "subscriber_id", own_dead).await;
    let mut params = Vec::new();
    for (column, entity) in [
        ("sub_customer_id", family.grandchild),
        ("sub_customer_id", family.requester),
        ("subscriber_id", subscriber),
        ("subscriber_id", dead),
        ("sell_plan_id", sell_plan),
    ] {
        params.push(world.external_params(family.requester, column, entity).await);
    }

    let occupied = stage.occupy().await;
    let calls = [own].into_iter().chain(params.clone());
    let waiting = stage.queue(calls.map(|id| stage.own_call(Resource::ExternalParams, &[id]))).await;
    occupied.let_go().await;

    let answers = answers(waiting).await;
    answers[0].assert_deleted();
    for answer in &answers[1..] {
        answer.assert_failed(404, "CUSTOMER_1026", "Failed to delete external params item");
    }
    assert!(world.deleted(Resource::ExternalParams, &params).await.is_empty());
    assert_eq!(stage.shared("external-params").await, [1.0, 1.0, 5.0]);
}

#[tokio::test]
async fn two_calls_for_one_id_do_not_share_a_statement_and_have_one_winner() {
    let stage = Stage::new().await;
    let contacts = stage.world.rows(Resource::Contact, stage.family.sub_customer, 3).await;

    let occupied = stage.occupy().await;
    let lists = [&contacts[..2], &contacts[1..2], &contacts[2..]];
    let waiting = stage.queue(lists.map(|list| stage.own_call(Resource::Contact, list))).await;
    occupied.let_go().await;

    let answers = answers(waiting).await;
    let done = [answers[0].assert_deleted(), answers[2].assert_deleted()];
    answers[1].assert_failed(404, "CUSTOMER_1017", "Unknown Contact ID");
    assert_eq!(stage.transactions(&done).await, 1);
    assert_eq!(stage.shared("contact").await, [1.0, 2.0, 0.0], "the call for the same id was not tried with them");
}

#[tokio::test]
async fn a_repeated_call_under_a_key_is_replayed_beside_calls_that_share() {
    let stage = Stage::new().await;
    let contacts = stage.world.rows(Resource::Contact, stage.family.sub_customer, 3).await;
    let call = |id: Uuid| stage.own_call(Resource::Contact, &[id]);
    let keyed = || call(contacts[0]).header("Idempotency-Key", "once");

    let occupied = stage.occupy().await;
    let waiting = stage.queue([keyed(), call(contacts[1]), keyed(), call(contacts[2])]).await;
    occupied.let_go().await;

    let answers = answers(waiting).await;
    let operations: Vec<Uuid> = answers.iter().map(|answer| answer.assert_deleted()).collect();
    assert_eq!(operations[0], operations[2]);
    assert_eq!(answers[2].header("Idempotency-Replayed"), Some("true"));
    assert_eq!(stage.transactions(&[operations[1], operations[3]]).await, 1);
    stage.assert_rows_and_operations_agree().await;
}

const ROW: &str = "select from contact where id = $1 for update";
const MOVING: &str = "update customer set parent_id = null where id = (select customer_id from contact where id = $1)";
/// The shared statement can lock the version of the row in its snapshot, but not the next one.
const RENAMING_AND_MOVING: &str = "
    with renamed as (
      update customer set name = 'Renamed' where id = (select customer_id from contact where id = $1) returning id
    )
    select from renamed";
const THEN_MOVING: &str =
    "update customer set parent_id = null where id = (select customer_id from contact where id = $1)";

#[rstest]
#[case::the_row(&[ROW])]
#[case::its_customer(&[MOVING])]
#[case::its_customer_of_whom_an_older_state_is_free(&[RENAMING_AND_MOVING, THEN_MOVING])]
#[tokio::test]
async fn a_lock_holds_up_its_own_call_alone(#[case] statements: &[&'static str]) {
    let stage = Stage::new().await;
    let held = stage.world.contact(stage.family.second_sub_customer).await;
    let free = stage.world.rows(Resource::Contact, stage.family.sub_customer, 3).await;
    let call = |id: Uuid| stage.own_call(Resource::Contact, &[id]);

    let occupied = stage.occupy().await;
    let mut holding = stage.database.pool.begin().await.unwrap();
    for statement in statements {
        sqlx::query(*statement).bind(held).execute(&mut *holding).await.unwrap();
    }
    let (requester, second) = (stage.family.requester, stage.family.second_sub_customer);
    let waiting_for_it = stage.call(requester, second, Resource::Contact, &[held]);
    let mut waiting = stage.queue([call(free[0]), waiting_for_it, call(free[1]), call(free[2])]).await;
    let watch = StallWatch::start();
    occupied.let_go().await;

    let held_up = waiting.remove(1);
    let done: Vec<Uuid> = answers(waiting).await.iter().map(|answer| answer.assert_deleted()).collect();
    if statements.len() == 1 {
        assert!(!held_up.is_finished(), "they waited for it");
        assert_eq!(stage.transactions(&done).await, 1);
        assert_eq!(stage.shared("contact").await, [1.0, 3.0, 1.0]);
    } else {
        // A row that cannot be skipped ends the statement soon.
        assert_eq!(stage.shared("contact").await, [1.0, 0.0, 4.0]);
    }
    let took = r#"customer_deletion_statement_duration_seconds_sum{statement="share_contacts"}"#;
    let longest = Duration::from_secs(1) + watch.allowance();
    assert!(stage.metric(took).await < longest.as_secs_f64(), "the statement waited");
    assert_eq!(code(&held_up.await.unwrap()), (503, "GLOBAL_1001".to_owned()));
    holding.rollback().await.unwrap();
    assert!(stage.world.deleted(Resource::Contact, &[held]).await.is_empty());
    stage.assert_rows_and_operations_agree().await;
}
