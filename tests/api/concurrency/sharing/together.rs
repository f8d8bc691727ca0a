//! Calls that share a statement, and calls that do not.

use customer_deletion::resource::Resource;
use uuid::Uuid;

use super::{Stage, answers, code};
use crate::support::client;
use crate::support::proxy::{Proxy, Weather};
use crate::support::resources::{every_list, word};

#[tokio::test]
async fn calls_that_wait_are_executed_in_one_statement() {
    let stage = Stage::with(&[("CUSTOMER_DELETION__REQUESTER__HEADER__ACTOR_NAME", "X-Actor-Id")]).await;
    for resource in every_list() {
        let other_family = stage.world.family().await;
        let mut calls = Vec::new();
        let mut ids = Vec::new();
        let actors = [Some("an-actor|1"), None, Some("an-actor|3"), Some("an-actor|4")];
        let occupied = stage.occupy().await;
        for (number, family) in [stage.family, other_family, stage.family, other_family].into_iter().enumerate() {
            let customer = family.in_scope(resource);
            let rows = stage.world.rows(resource, customer, 3).await;
            let call = stage.call(family.requester, customer, resource, &rows);
            calls.push(actors[number].into_iter().fold(call, |call, actor| call.header("X-Actor-Id", actor)));
            ids.extend(rows);
        }

        let waiting = stage.queue(calls).await;
        occupied.let_go().await;

        let operations: Vec<Uuid> = answers(waiting).await.iter().map(|answer| answer.assert_deleted()).collect();
        assert_eq!(stage.transactions(&operations).await, 1);
        assert_eq!(stage.shared(word(resource)).await, [1.0, 4.0, 0.0]);
        assert_eq!(stage.world.deleted(resource, &ids).await, ids);
        let recorded: Vec<(Uuid, Uuid, Vec<Uuid>, Option<String>)> = sqlx::query_as(
            "select requester_id, customer_id, target_ids, actor from operation where id = any($1)
             order by array_position($1, id)",
        )
        .bind(&operations)
        .fetch_all(&stage.database.pool)
        .await
        .unwrap();
        for (number, family) in [stage.family, other_family, stage.family, other_family].iter().enumerate() {
            let targets = ids[number * 3..][..3].to_vec();
            let actor = actors[number].map(str::to_owned);
            assert_eq!(recorded[number], (family.requester, family.in_scope(resource), targets, actor));
        }
        stage.assert_rows_and_operations_agree().await;
    }
}

#[tokio::test]
async fn external_params_share_a_statement_whatever_they_are_set_on() {
    let stage = Stage::new().await;
    let requester = stage.family.requester;
    let sell_plan = stage.world.sell_plan(requester).await;
    let subscriber = stage.world.subscriber(requester).await;
    let occupied = stage.occupy().await;
    let mut calls = Vec::new();
    for (column, entity) in [
        ("sub_customer_id", stage.family.sub_customer),
        ("subscriber_id", subscriber),
        ("sell_plan_id", sell_plan),
        ("sub_customer_id", stage.family.sub_customer),
    ] {
        let params = stage.world.external_params(requester, column, entity).await;
        calls.push(stage.own_call(Resource::ExternalParams, &[params]));
    }

    let waiting = stage.queue(calls).await;
    occupied.let_go().await;

    let operations: Vec<Uuid> = answers(waiting).await.iter().map(|answer| answer.assert_deleted()).collect();
    assert_eq!(stage.transactions(&operations).await, 1);
}

#[tokio::test]
async fn products_go_alone() {
    let stage = Stage::new().await;
    let products = stage.world.rows(Resource::Product, stage.family.requester, 3).await;

    let occupied = stage.occupy().await;
    let waiting = stage.queue(products.iter().map(|id| stage.own_call(Resource::Product, &[*id]))).await;
    occupied.let_go().await;

    let operations: Vec<Uuid> = answers(waiting).await.iter().map(|answer| answer.assert_deleted()).collect();
    assert_eq!(stage.transactions(&operations).await, 3);
    assert_eq!(stage.shared("product").await, [0.0, 0.0, 0.0]);
}

#[tokio::test]
async fn a_call_with_a_key_or_with_many_ids_goes_alone() {
    let stage = Stage::new().await;
    let contacts = stage.world.rows(Resource::Contact, stage.family.sub_customer, 68).await;
    let call = |ids: &[Uuid]| stage.own_call(Resource::Contact, ids);

    let occupied = stage.occupy().await;
    let waiting = stage
        .queue([
            call(&contacts[..1]),
            call(&contacts[1..2]).header("Idempotency-Key", "once"),
            call(&contacts[2..67]),
            call(&contacts[67..]),
        ])
        .await;
    occupied.let_go().await;

    let operations: Vec<Uuid> = answers(waiting).await.iter().map(|answer| answer.assert_deleted()).collect();
    assert_eq!(stage.transactions(&[operations[0], operations[3]]).await, 1);
    assert_eq!(stage.transactions(&operations).await, 3);
    assert_eq!(stage.shared("contact").await, [1.0, 2.0, 0.0]);
}

#[tokio::test]
async fn a_statement_has_64_ids_at_most_and_16_calls() {
    let stage = Stage::new().await;
    let contacts = stage.world.rows(Resource::Contact, stage.family.sub_customer, 66).await;
    let zones = stage.world.rows(Resource::Zone, stage.family.requester, 18).await;

    let occupied = stage.occupy().await;
    let lists = [&contacts[..40], &contacts[40..64], &contacts[64..]];
    let waiting = stage.queue(lists.map(|list| stage.own_call(Resource::Contact, list))).await;
    occupied.let_go().await;
    let operations: Vec<Uuid> = answers(waiting).await.iter().map(|answer| answer.assert_deleted()).collect();
    assert_eq!(stage.transactions(&operations[..2]).await, 1);
    assert_eq!(stage.transactions(&operations).await, 2);

    let occupied = stage.occupy().await;
    let waiting = stage.queue(zones.iter().map(|id| stage.own_call(Resource::Zone, &[*id]))).await;
    occupied.let_go().await;
    let operations: Vec<Uuid> = answers(waiting).await.iter().map(|answer| answer.assert_deleted()).collect();
    assert_eq!(stage.transactions(&operations[..16]).await, 1);
    assert_eq!(stage.transactions(&operations).await, 2);
}

/// Resources are served in the order of their longest waiting calls. So calls that share a statement do not overtake a single
/// call for ever.
#[tokio::test]
async fn the_call_that_has_waited_longest_comes_first() {
    let stage = Stage::new().await;
    let contacts = stage.world.rows(Resource::Contact, stage.family.sub_customer, 2).await;
    let zones = stage.world.rows(Resource::Zone, stage.family.requester, 2).await;
    let product = stage.world.product(stage.family.requester).await;

    let occupied = stage.occupy().await;
    let waiting = stage
        .queue([
            stage.own_call(Resource::Product, &[product]),
            stage.own_call(Resource::Zone, &zones[..1]),
            stage.own_call(Resource::Contact, &contacts[..1]),
            stage.own_call(Resource::Contact, &contacts[1..]),
            stage.own_call(Resource::Zone, &zones[1..]),
        ])
        .await;
    occupied.let_go().await;

    answers(waiting).await.iter().for_each(|answer| _ = answer.assert_deleted());
    let order: Vec<String> =
        sqlx::query_scalar("select resource::text from operation where resource <> 'address' order by created_at, id")
            .fetch_all(&stage.database.pool)
            .await
            .unwrap();
    assert_eq!(order, ["product", "zone", "zone", "contact", "contact"]);
}

#[tokio::test]
async fn a_service_whose_settings_forbid_sharing_does_not_share() {
    let stage = Stage::with(&[("CUSTOMER_DELETION__DATABASE__SHARE_STATEMENTS", "false")]).await;
    let contacts = stage.world.rows(Resource::Contact, stage.family.sub_customer, 3).await;

    let occupied = stage.occupy().await;
    let waiting = stage.let_wait(contacts.iter().map(|id| stage.own_call(Resource::Contact, &[*id]))).await;
    occupied.let_go().await;

    let operations: Vec<Uuid> = answers(waiting).await.iter().map(|answer| answer.assert_deleted()).collect();
    assert_eq!(stage.transactions(&operations).await, 3);
    assert_eq!(stage.shared("contact").await, [0.0, 0.0, 0.0]);
}

/// A stage whose only connection goes silent. The call on it waits for its whole deadline, and those behind it give up before.
async fn silent_stage(deadline_ms: &str) -> (Stage, Proxy) {
    let (database, proxy, url) = Proxy::with_database().await;
    (Stage::on(database, &url, &[("CUSTOMER_DELETION__DATABASE__DEADLINE_MS", deadline_ms)]).await, proxy)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_waits_too_long_leaves_the_queue_and_is_not_executed() {
    let (stage, proxy) = silent_stage("10000").await;
    let contacts = stage.world.rows(Resource::Contact, stage.family.sub_customer, 3).await;

    let occupied = stage.occupy().await;
    proxy.set(Weather::Frozen);
    let waiting = stage.queue(contacts[..2].iter().map(|id| stage.own_call(Resource::Contact, &[*id]))).await;
    for answer in answers(waiting).await {
        assert_eq!(code(&answer), (503, "GLOBAL_1001".to_owned()));
    }
    assert_eq!(stage.metric("customer_deletion_database_wait_timeouts_total").await, 2.0);
    let last = stage.queue([stage.own_call(Resource::Contact, &contacts[2..])]).await;
    proxy.set(Weather::Fair);

    answers(last).await[0].assert_deleted();
    assert_eq!(code(&occupied.call.await.unwrap()), (503, "GLOBAL_1001".to_owned()));
    assert_eq!(stage.world.deleted(Resource::Contact, &contacts).await, contacts[2..]);
    assert_eq!(stage.world.operations().await, 1);
}

/// Neither the readiness checks nor the background work of the service are counted, although both use the connections of the
/// calls.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_readiness_check_is_not_counted_as_a_wait_for_a_connection() {
    let (stage, proxy) = silent_stage("5000").await;
    let occupied = stage.occupy().await;
    proxy.set(Weather::Frozen);
    let counted = stage.metric("customer_deletion_database_wait_seconds_count").await;

    let ready = client().get(format!("http://{}/health/ready", stage.process.management_address)).send().await.unwrap();
    assert_eq!(ready.status(), 503);
    assert_eq!(stage.metric("customer_deletion_database_wait_timeouts_total").await, 0.0);
    assert_eq!(stage.metric("customer_deletion_database_wait_seconds_count").await, counted);
    proxy.set(Weather::Fair);
    assert_eq!(code(&occupied.call.await.unwrap()), (503, "GLOBAL_1001".to_owned()));
}
