//! Long lists that are refused.

use futures_util::future::join_all;
use uuid::Uuid;

use super::Target;
use crate::support::body;

const CLIENTS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_lists_of_one_requester_do_not_turn_others_away() {
    let target = Target::start().await;
    let (attacker, sub_customer) = (target.usual.parent, target.usual.requester);
    let ids: Vec<Uuid> = (0..100_000).map(|_| Uuid::now_v7()).collect();
    let call = target.deletion(attacker, sub_customer).header("Prefer", "respond-async").body(body(&ids));
    assert_eq!(call.send().await.unwrap().status(), 202);
    let flood = join_all((0..CLIENTS).map(|_| async {
        loop {
            target.refuse_list((attacker, sub_customer), 1000).await;
        }
    }));
    tokio::select! {
        _ = flood => {}
        () = target.assert_serves() => {}
    }
}
