//! The sample data, and calls about it.

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

/// Loads the sample data into a migrated database. Returns false, and changes nothing, if there are
/// customers already.
pub async fn load(options: &PgConnectOptions) -> sqlx::Result<bool> {
    let mut connection = options.connect().await?;
    let mut tx = connection.begin().await?;
    // A second, concurrent load waits here, and then finds customers.
    sqlx::query("lock table customer in share row exclusive mode").execute(&mut *tx).await?;
    let has_customers: bool = sqlx::query_scalar("select exists (select from customer)").fetch_one(&mut *tx).await?;
    if !has_customers {
        sqlx::raw_sql(WORLD).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    connection.close().await?;
    Ok(!has_customers)
}

struct Call {
    about: &'static str,
    /// The expected status, and that of the same call sent again.
    answer: &'static str,
    command: String,
}

pub fn calls_to_paste(base_url: &str) -> String {
    let calls = calls(base_url).map(|call| format!("{} -> {}\n{}\n", call.about, call.answer, call.command));
    format!(
        "Calls to paste into another terminal. The requester is the reseller Nordlicht Telekom, one level below the platform.\n\n{}\n\
         The status call works for the requestId of every answer. To try calls in a browser:\n\
         {base_url}/docs?requester={NORDLICHT_TELEKOM}",
        calls.join("\n")
    )
}

/// Deletions of every resource, a validation, a refusal in two forms, asynchronous calls, statuses,
/// a cancel, the list, and a search in it.
fn calls(base_url: &str) -> [Call; 15] {
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
            about: "External params that the requester has set on that sub-customer",
            answer: "200, and 404 CUSTOMER_1026 when sent again",
            command: delete(&format!("{NORDLICHT_TELEKOM}/external-params/{EXTERNAL_PARAMS}")),
        },
        Call {
            about: "A zone of the requester",
            answer: "200, and 404 CUSTOMER_1030 when sent again",
            command: delete(&format!("{NORDLICHT_TELEKOM}/zone/{ZONE}")),
        },
        Call {
            about: "Check only: can the next product be deleted? validateOnly=true deletes nothing",
            answer: "200 until the product is deleted",
            // In some shells an unescaped question mark matches files.
            command: delete(&format!("{NORDLICHT_TELEKOM}/product/{PRODUCT}\\?validateOnly=true")),
        },
        Call {
            about: "A product of the requester that is not allocated",
            answer: "200, and 404 CUSTOMER_1047 when sent again",
            command: delete(&format!("{NORDLICHT_TELEKOM}/product/{PRODUCT}")),
        },
        Call {
            about: "A product that is allocated to sub-customers: refused",
            answer: "409 CUSTOMER_1046",
            command: delete(&format!("{NORDLICHT_TELEKOM}/product/{ALLOCATED_PRODUCT}")),
        },
        Call {
            about: "The same refusal as a problem (RFC 9457), with the customers to which the product is allocated",
            answer: "409 CUSTOMER_1046",
            command: format!(
                "{} -H Accept:application/problem+json",
                delete(&format!("{NORDLICHT_TELEKOM}/product/{ALLOCATED_PRODUCT}"))
            ),
        },
        Call {
            about: "The two contacts again, without waiting for the outcome",
            answer: "202; the status of its requestId is the outcome",
            command: format!(
                "{} -H Prefer:respond-async",
                list("DELETE", &format!("{HAFENLOGISTIK_NORD}/contact"), CONTACTS)
            ),
        },
        Call {
            about: "One of the contacts again, waiting for the outcome for at most 5 seconds",
            answer: "404 CUSTOMER_1017 once it is deleted",
            command: format!(
                "{} -H 'Prefer: respond-async, wait=5'",
                delete(&format!("{HAFENLOGISTIK_NORD}/contact/{}", CONTACTS[0]))
            ),
        },
        Call {
            about: "The status of the call in the API documents' examples",
            answer: "200 with the status SUCCESS",
            command: curl(&format!("{base_url}/api/v3/global/call/{OPERATION}")),
        },
        Call {
            about: "The same status with the ids of the call",
            answer: "200 with targetIds",
            command: curl(&format!("{base_url}/api/v3/global/call/{OPERATION}\\?view=full")),
        },
        Call {
            about: "Cancelling that call, which has ended",
            answer: "409 NOT_CANCELLABLE",
            command: curl(&format!("-X POST {base_url}/api/v3/global/call/{OPERATION}:cancel")),
        },
        Call {
            about: "The requester's calls, newest first",
            answer: "200 with all of the above",
            command: curl(&format!("{base_url}/api/v3/global/call")),
        },
        Call {
            about: "The call that deleted the zone",
            answer: "200 with that call, once the zone is deleted",
            command: curl(&format!("{base_url}/api/v3/global/call\\?targetId={ZONE}")),
        },
    ]
}

/// Prints the HTTP status after the body.
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
