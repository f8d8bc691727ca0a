//! "The usual way": the deletion as most would write it, with a statement for every step inside a transaction. It uses the lean
//! tables, and the same libraries with their defaults. It answers as the service does, but has no logs, no metrics, no limits, no
//! idempotency keys and no record of a refusal.

use std::env;

use actix_web::http::StatusCode;
use actix_web::http::header::ContentType;
use actix_web::web::{Data, Json, Path, delete, get};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, ResponseError, rt};
use serde::Deserialize;
use sqlx::PgPool;
use uuid::Uuid;

use crate::AnyError;

/// The first argument that starts this service. The address and the URL of the database follow it.
pub const COMMAND: &str = "usual-way";

pub fn serve() -> Result<(), AnyError> {
    let arguments: Vec<String> = env::args().skip(2).collect();
    let [address, database] = arguments.as_slice() else {
        return Err(format!("{COMMAND} <address> <database>").into());
    };
    rt::System::new().block_on(async {
        let pool = Data::new(PgPool::connect(database).await?);
        let app = move || {
            App::new()
                .app_data(pool.clone())
                .route("/health/ready", get().to(HttpResponse::Ok))
                .route("/api/v2/customer/{customer}/contact", delete().to(delete_contacts))
        };
        HttpServer::new(app).bind(address)?.run().await?;
        Ok(())
    })
}

#[derive(Deserialize)]
struct Body {
    id: Vec<Uuid>,
}

#[derive(Debug, thiserror::Error)]
#[error("{2}")]
struct Failure(StatusCode, &'static str, &'static str);

impl From<sqlx::Error> for Failure {
    fn from(_: sqlx::Error) -> Failure {
        Failure(StatusCode::SERVICE_UNAVAILABLE, "GLOBAL_1001", "Service unavailable. Please try again")
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        self.0
    }

    fn error_response(&self) -> HttpResponse {
        let Failure(status, code, message) = self;
        let answer = format!(r#"{{"errorCode":"{code}","errorMessage":"{message}","content":"","pageable":""}}"#);
        HttpResponse::build(*status).content_type(ContentType::json()).body(answer)
    }
}

async fn delete_contacts(
    pool: Data<PgPool>,
    request: HttpRequest,
    customer: Path<Uuid>,
    Json(Body { mut id }): Json<Body>,
) -> Result<HttpResponse, Failure> {
    id.sort_unstable();
    id.dedup();
    let operation = Uuid::now_v7();
    delete_in_steps(&pool, operation, requester(&request)?, *customer, &id).await?;
    let answer = format!(
        r#"{{"errorCode":"","errorMessage":"","content":[{{"requestId":"{operation}"}}],"pageable":{{"page":0,"size":10,"totalPages":1,"totalElements":1}}}}"#
    );
    let request_id = ("Request-Id", operation.to_string());
    Ok(HttpResponse::Ok().insert_header(request_id).content_type(ContentType::json()).body(answer))
}

fn requester(request: &HttpRequest) -> Result<Uuid, Failure> {
    let header = request.headers().get("X-Requester-Id").and_then(|value| value.to_str().ok());
    header.and_then(|value| value.parse().ok()).ok_or(Failure(
        StatusCode::UNAUTHORIZED,
        "UNAUTHORIZED",
        "There is no requester.",
    ))
}

async fn delete_in_steps(
    pool: &PgPool,
    operation: Uuid,
    requester: Uuid,
    customer: Uuid,
    ids: &[Uuid],
) -> Result<(), Failure> {
    let mut tx = pool.begin().await?;

    let is_sub_customer = sqlx::query(
        "select customer.id
         from customer
         join customer requester on requester.id = customer.parent_id
         where customer.id = $1 and requester.id = $2
           and customer.deleted_at is null and requester.deleted_at is null
         for share",
    );
    if is_sub_customer.bind(customer).bind(requester).fetch_optional(&mut *tx).await?.is_none() {
        return Err(Failure(StatusCode::NOT_FOUND, "CUSTOMER_1002", "Customer does not exist"));
    }

    let contacts: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "select id, customer_id from contact where id = any($1) and deleted_at is null order by id for update",
    )
    .bind(ids)
    .fetch_all(&mut *tx)
    .await?;
    if contacts.len() < ids.len() {
        return Err(Failure(StatusCode::NOT_FOUND, "CUSTOMER_1017", "Unknown Contact ID"));
    }
    if contacts.iter().any(|(_, owner)| *owner != customer) {
        return Err(Failure(StatusCode::NOT_FOUND, "AUTH_1010", "Contact for your customer was not found"));
    }

    sqlx::query("update contact set deleted_at = now(), deleted_by = $1 where id = any($2)")
        .bind(requester)
        .bind(ids)
        .execute(&mut *tx)
        .await?;

    sqlx::query("insert into request (id, requester, resource, status) values ($1, $2, 'contact', 'SUCCESSFUL')")
        .bind(operation)
        .bind(requester)
        .execute(&mut *tx)
        .await?;

    tx.commit().await?;
    Ok(())
}
