//! The ids that a call deletes: one in the path, or a list in the body.

use actix_web::http::header::HeaderMap;
use uuid::Uuid;

use super::body::{self, Incoming, Room};
use super::limits::BodyLimits;
use crate::error::Error;
use crate::operation::TargetIds;
use crate::resource::Resource;

pub async fn target_ids(
    resource: Resource,
    in_path: Option<Uuid>,
    headers: &HeaderMap,
    incoming: Incoming,
    limits: BodyLimits,
    room: &mut Room<'_>,
) -> Result<TargetIds, Error> {
    let in_body = body::ids_of_body(headers, incoming, limits, room).await?;
    if in_path.is_none() && !resource.rules().takes_list {
        return Err(Error::bad_request(format!(
            "a {word} is deleted alone, by its id in the path: DELETE …/{word}/{{id}}",
            word = resource.word()
        )));
    }
    in_one_place(in_path, in_body)
}

pub fn in_one_place(in_path: Option<Uuid>, in_body: Option<TargetIds>) -> Result<TargetIds, Error> {
    match (in_path, in_body) {
        (Some(_), Some(_)) => Err(Error::bad_request(
            "bad request: there is an id in the path and a list `id` in the body; send one of them",
        )),
        (Some(id), None) => Ok(TargetIds::one(id)),
        (None, Some(ids)) => Ok(ids),
        (None, None) => {
            Err(Error::bad_request("neither the path nor the body has an id; the body must be {\"id\": [\"…\"]}"))
        }
    }
}
