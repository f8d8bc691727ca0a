//! The small world, and calls about it that can be pasted.

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};

/// A few hundred rows.
const WORLD: &str = include_str!("world.sql");

/// The requester of the calls: a reseller, one level below the platform.
pub const NORDLICHT_TELEKOM: &str = "5b0c2a94-7d36-4e58-9a1f-c3e86d4f0b27";

/// A sub-customer of the requester.
pub const HAFENLOGISTIK_NORD: &str = "a91d4e60-38fb-4c72-b5d9-1e07f2c6a843";

pub const CONTACTS: [&str; 2] = ["3c8e71f5-90a2-4b6d-8e34-7f15d2a6c098", "d26f0b8a-4c17-4935-a7e8-05b9c3f1e76d"];
pub const ADDRESSES: [&str; 2] = ["b7e2093f-5c84-4a16-9d70-e81f6b4c2d95", "0d95f8a7-2e6b-4c31-8fa4-36c7d1b9e052"];
pub const EXTERNAL_PARAMS: &str = "6af1c3d8-b025-4e97-a3c6-4d80e5f9172b";
pub const ZONE: &str = "94d7b1e0-8f3c-4526-b8a9-c05e2f7d6413";
pub const PRODUCT: &str = "2e60f9c4-d17a-4b58-9e02-a7d4c8135fb6";
const ALLOCATED_PRODUCT: &str = "c85a17d2-4f9e-4036-86db-10e7b3f5a92c";

/// An operation of the world, which the documentation's examples show. Its id is older than any
/// that a service makes.
pub const OPERATION: &str = "01946983-4c40-7e85-a42b-13860913b370";

/// Puts the world into a database whose schema is up to date, and tells whether it did: where there are customers already,
/// nothing is changed.
pub async fn load(options: &PgConnectOptions) -> Result<bool, sqlx::Error> {
    let mut connection = options.connect().await?;
    let mut tx = connection.begin().await?;
    // Of two that come at once, the second waits here and then finds customers.
    sqlx::query("lock table customer in share row exclusive mode").execute(&mut *tx).await?;
    let inhabited: bool = sqlx::query_scalar("select exists (select from customer)").fetch_one(&mut *tx).await?;
    if !inhabited {
        sqlx::raw_sql(WORLD).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    connection.close().await?;
    Ok(!inhabited)
}

/// A call to paste into a terminal, on one line.
struct Call {
    about: &'static str,
    /// What the answer is, and what it is the second time.
    answer: &'static str,
    command: String,
}

/// What to print about the calls to a service.
pub fn calls_to_paste(base_url: &str) -> String {
    let calls = calls(base_url).map(|call| format!("{} -> {}\n{}\n", call.about, call.answer, call.command));
    format!(
        "Calls to paste into another terminal. The requester is Nordlicht Telekom, a reseller one level below the platform.\n\n{}\n\
         The call about how a call ended works for the requestId of any answer. The page is where such calls can be tried out without a terminal:\n\
         {base_url}/docs?requester={NORDLICHT_TELEKOM}",
        calls.join("\n")
    )
}

/// One call for each resource, one that deletes nothing, one that is refused, one that is done later, the status of a call, and the
/// list of them.
fn calls(base_url: &str) -> [Call; 10] {
    let delete = |path: &str| curl(&format!("-X DELETE {base_url}/api/v2/customer/{path}"));
    let list = |method: &str, path: &str, ids: [&str; 2]| {
        curl(&format!(
            "-X {method} {base_url}/api/v2/customer/{path} -H Content-Type:application/json -d '{{\"id\":[\"{}\"]}}'",
            ids.join("\",\"")
        ))
    };
    [
        Call {
            about: "Two contacts of the sub-customer Hafenlogistik Nord",
            answer: "200, and 404 CUSTOMER_1017 when sent again",
            command: list("DELETE", &format!("{HAFENLOGISTIK_NORD}/contact"), CONTACTS),
        },
        Call {
            about: "Two of its addresses, for clients that cannot send a body with DELETE",
            answer: "200, and 404 CUSTOMER_1018 when sent again",
            command: list("POST", &format!("{HAFENLOGISTIK_NORD}/address:batchDelete"), ADDRESSES),
        },
        Call {
            about: "External params that the requester has set on it",
            answer: "200, and 404 CUSTOMER_1026 when sent again",
            command: delete(&format!("{NORDLICHT_TELEKOM}/external-params/{EXTERNAL_PARAMS}")),
        },
        Call {
            about: "A zone of the requester",
            answer: "200, and 404 CUSTOMER_1030 when sent again",
            command: delete(&format!("{NORDLICHT_TELEKOM}/zone/{ZONE}")),
        },
        Call {
            about: "Whether the product below could be deleted: with validateOnly=true nothing is",
            answer: "200, as often as it is sent, until the product is deleted",
            // The backslash is for the shells that would look for files by the question mark.
            command: delete(&format!("{NORDLICHT_TELEKOM}/product/{PRODUCT}\\?validateOnly=true")),
        },
        Call {
            about: "A product of the requester that no live customer has",
            answer: "200, and 404 CUSTOMER_1047 when sent again",
            command: delete(&format!("{NORDLICHT_TELEKOM}/product/{PRODUCT}")),
        },
        Call {
            about: "A product that is allocated to sub-customers: refused",
            answer: "409 CUSTOMER_1046",
            command: delete(&format!("{NORDLICHT_TELEKOM}/product/{ALLOCATED_PRODUCT}")),
        },
        Call {
            about: "The two contacts once more, without waiting for the outcome",
            answer: "202, and the status of its requestId tells how it ended",
            command: format!(
                "{} -H Prefer:respond-async",
                list("DELETE", &format!("{HAFENLOGISTIK_NORD}/contact"), CONTACTS)
            ),
        },
        Call {
            about: "How a call ended: the one of the API documents' examples",
            answer: "200, with the status SUCCESS",
            command: curl(&format!("{base_url}/api/v3/global/call/{OPERATION}")),
        },
        Call {
            about: "What the requester has called, newest first",
            answer: "200, with all of the above",
            command: curl(&format!("{base_url}/api/v3/global/call")),
        },
    ]
}

/// A request of the requester; its output ends with the HTTP status.
fn curl(request: &str) -> String {
    format!("curl -sS -w ' %{{http_code}}\\n' -H X-Requester-Id:{NORDLICHT_TELEKOM} {request}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Resource;

    #[test]
    fn there_is_a_call_for_every_resource() {
        let calls = calls("http://127.0.0.1:8080");
        for resource in Resource::ALL {
            let word = format!("/{}", resource.word());
            assert!(calls.iter().any(|call| call.command.contains(&word)), "{word}");
        }
    }

    #[test]
    fn a_call_is_one_line_to_the_service() {
        for call in calls("http://127.0.0.1:9999") {
            assert!(call.command.starts_with("curl -sS "), "{}", call.command);
            assert!(call.command.contains(" http://127.0.0.1:9999/api/"), "{}", call.command);
            assert!(!call.command.contains('\n'), "{}", call.command);
        }
    }

    #[test]
    fn a_list_is_sent_as_json() {
        assert!(calls("")[0].command.ends_with(
            "-H Content-Type:application/json \
             -d '{\"id\":[\"3c8e71f5-90a2-4b6d-8e34-7f15d2a6c098\",\"d26f0b8a-4c17-4935-a7e8-05b9c3f1e76d\"]}'"
        ));
    }

    #[test]
    fn what_the_calls_name_is_in_the_world() {
        let ids = [NORDLICHT_TELEKOM, HAFENLOGISTIK_NORD, EXTERNAL_PARAMS, ZONE, PRODUCT, ALLOCATED_PRODUCT, OPERATION];
        for id in ids.into_iter().chain(CONTACTS).chain(ADDRESSES) {
            assert!(WORLD.contains(id), "{id}");
        }
    }
}
