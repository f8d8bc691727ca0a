-- One row for each deleted row: who deleted it, when, in which call, and with what else.
--
-- The view reads with its owner's rights. Its only personal data is the actor. Each branch of it is
-- one plain table without a condition: a search by id, or by a list of ids, then uses the primary
-- key of each, and a search that names the resource uses only one of them. There is no index from
-- an operation to its rows, because every deletion would have to write it. The operation has a list
-- of its rows.
create view deletion_history as
select
  deleted.resource,
  deleted.id,
  deleted.customer_id,
  deleted.deleted_at,
  deleted.deleted_by as operation_id,
  operation.requester_id,
  requester.name as requester_name,
  operation.actor,
  operation.created_at as called_at,
  array_remove(operation.target_ids, deleted.id) as deleted_with
from (
  select 'contact' as resource, contact.id, contact.customer_id, contact.deleted_at, contact.deleted_by
  from contact
  union all
  select 'address', address.id, address.customer_id, address.deleted_at, address.deleted_by
  from address
  union all
  select
    'external-params',
    external_params.id,
    external_params.customer_id,
    external_params.deleted_at,
    external_params.deleted_by
  from external_params
  union all
  select 'zone', zone.id, zone.customer_id, zone.deleted_at, zone.deleted_by
  from zone
  union all
  select 'product', product.id, product.customer_id, product.deleted_at, product.deleted_by
  from product
) as deleted
-- Other writers delete without an operation.
left join operation on operation.id = deleted.deleted_by
left join customer as requester on requester.id = operation.requester_id
where deleted.deleted_at is not null;

comment on view deletion_history is 'One row for each deleted contact, address, external params instance, zone and product. Search it by id.';
comment on column deletion_history.resource is 'The resource, by its word in the URL.';
comment on column deletion_history.id is 'The id of the deleted row.';
comment on column deletion_history.customer_id is 'The customer of the row.';
comment on column deletion_history.deleted_at is 'The time of the deletion, which is the same for all rows of a call.';
comment on column deletion_history.operation_id is 'The operation that deleted the row: the requestId of the call. Null if another writer deleted it.';
comment on column deletion_history.requester_id is 'The customer that called. Null, like the columns below, if another writer deleted the row.';
comment on column deletion_history.requester_name is 'The name of the requester.';
comment on column deletion_history.actor is 'Personal data: the user for whom the requester called. Null: not named, or erased.';
comment on column deletion_history.called_at is 'The time at which the call was recorded.';
comment on column deletion_history.deleted_with is 'The ids of the other rows of the call, in ascending order.';

insert into schema_version (version, oldest_build) values (12, 12);
