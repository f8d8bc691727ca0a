//! Long lists that are refused.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use uuid::Uuid;

use super::Target;
use crate::support::{body, until};

const CLIENTS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_lists_of_one_requester_do_not_get_others_rejected() {
    let target = Target::start().await;
    let (attacker, sub_customer) = (target.usual.parent, target.usual.requester);
    let ids: Vec<Uuid> = (0..100_000).map(|_| Uuid::now_v7()).collect();
    let call = target.deletion(attacker, sub_customer).header("Prefer", "respond-async").body(body(&ids));
    assert_eq!(call.send().await.unwrap().status(), 202);
    let refused = AtomicUsize::new(0);
    let flood = join_all((0..CLIENTS).map(|_| async {
        loop {
            target.refuse_list((attacker, sub_customer), 1000).await;
            refused.fetch_add(1, Ordering::Relaxed);
        }
    }));
    let usual = async {
        until(async || refused.load(Ordering::Relaxed) >= CLIENTS).await;
        let before = refused.load(Ordering::Relaxed);
        target.assert_serves().await;
        assert!(refused.load(Ordering::Relaxed) > before, "no list was refused meanwhile");
    };
    tokio::select! {
        _ = flood => {}
        () = usual => {}
    }
}
