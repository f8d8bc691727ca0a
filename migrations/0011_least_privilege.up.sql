-- What lets other roles than the owner do with less: views for those who read, and a column for the one who only locks.
--
-- The views read with their owner's rights, not the reader's. So a role can be given the live rows and not the table, or the
-- history of deletions and none of the personal data in it. Columns that a later migration adds to a table are not in its view
-- until that migration says so.

-- The live rows of each table, for readers who should not have to think of the filter. Behind the barrier no function of the
-- reader's sees a deleted row before the filter has dropped it.
create view live_customer with (security_barrier) as
select
  customer.id,
  customer.parent_id,
  customer.name,
  customer.created_at
from customer
where customer.deleted_at is null;

create view live_contact with (security_barrier) as
select
  contact.id,
  contact.customer_id,
  contact.type,
  contact.role,
  contact.is_primary,
  contact.email,
  contact.salutation,
  contact.first_name,
  contact.last_name,
  contact.gender,
  contact.birthdate,
  contact.landline,
  contact.mobile,
  contact.additional_phone,
  contact.remarks,
  contact.created_at
from contact
where contact.deleted_at is null;

create view live_address with (security_barrier) as
select
  address.id,
  address.customer_id,
  address.is_primary,
  address.line_1,
  address.line_2,
  address.city,
  address.region,
  address.postal_code,
  address.country_code,
  address.created_at
from address
where address.deleted_at is null;

create view live_subscriber with (security_barrier) as
select
  subscriber.id,
  subscriber.customer_id,
  subscriber.name,
  subscriber.created_at
from subscriber
where subscriber.deleted_at is null;

create view live_sell_plan with (security_barrier) as
select
  sell_plan.id,
  sell_plan.customer_id,
  sell_plan.name,
  sell_plan.created_at
from sell_plan
where sell_plan.deleted_at is null;

create view live_external_params with (security_barrier) as
select
  external_params.id,
  external_params.customer_id,
  external_params.sub_customer_id,
  external_params.subscriber_id,
  external_params.sell_plan_id,
  external_params.name,
  external_params.value,
  external_params.created_at
from external_params
where external_params.deleted_at is null;

create view live_zone with (security_barrier) as
select
  zone.id,
  zone.customer_id,
  zone.name,
  zone.description,
  zone.country_code,
  zone.plmns,
  zone.created_at
from zone
where zone.deleted_at is null;

create view live_product with (security_barrier) as
select
  product.id,
  product.customer_id,
  product.name,
  product.description,
  product.cost,
  product.currency,
  product.renewal_interval,
  product.created_at
from product
where product.deleted_at is null;

create view live_product_allocation with (security_barrier) as
select
  product_allocation.id,
  product_allocation.product_id,
  product_allocation.customer_id,
  product_allocation.created_at
from product_allocation
where product_allocation.live;

comment on view live_customer is 'Customers that are not deleted.';
comment on view live_contact is 'Contacts that are not deleted.';
comment on view live_address is 'Addresses that are not deleted.';
comment on view live_subscriber is 'Subscribers that are not deleted.';
comment on view live_sell_plan is 'Sell plans that are not deleted.';
comment on view live_external_params is 'Instances of external params that are not deleted.';
comment on view live_zone is 'Zones that are not deleted.';
comment on view live_product is 'Products that are not deleted.';
comment on view live_product_allocation is 'Allocations that are not detached, to customers that are not deleted.';

-- Who deleted what, when, in which call, and with what else. Each branch is one plain table without a condition: then a search
-- by id, or by a list of ids, goes through the primary key of each, and one that names the resource through that of one alone.
-- No index leads from an operation to its rows, because every deletion would write it; the operation's own list does.
create view deletion_history as
select
  deleted.resource,
  deleted.id,
  deleted.customer_id,
  deleted.deleted_at,
  deleted.deleted_by as operation_id,
  operation.requester_id,
  requester.name as requester_name,
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
-- Not every deletion has an operation: one is purged earlier than its rows, and other writers make none.
left join operation on operation.id = deleted.deleted_by
left join customer as requester on requester.id = operation.requester_id
where deleted.deleted_at is not null;

comment on view deletion_history is 'One row for each deleted contact, address, external params instance, zone and product. Search it by id.';
comment on column deletion_history.resource is 'The word in the URL: contact, address, external-params, zone or product.';
comment on column deletion_history.id is 'What was deleted.';
comment on column deletion_history.customer_id is 'Whose it was.';
comment on column deletion_history.deleted_at is 'When: the same for everything that was deleted with it.';
comment on column deletion_history.operation_id is 'In which call: the requestId of its answer. Null where another writer deleted it.';
comment on column deletion_history.requester_id is 'Who deleted it. Null, like the rest of the call, once the operation is purged.';
comment on column deletion_history.requester_name is 'The name of that customer.';
comment on column deletion_history.called_at is 'When the call was recorded.';
comment on column deletion_history.deleted_with is 'What else the call deleted, in ascending order.';

-- PostgreSQL lets a role lock a row only if it may update one of its columns. The service holds subscribers and sell plans
-- still while it deletes what is set on them, and is not to change them. So it is granted this column, and no other: whatever
-- it writes there, nothing has changed. (Customers have one already: a generated column, which takes nothing but its default.)
alter table subscriber add column held boolean;
alter table sell_plan add column held boolean;

-- In a column that is new there is nothing to validate.
alter table subscriber add constraint subscriber_held_is_null check (held is null) not valid;
alter table sell_plan add constraint sell_plan_held_is_null check (held is null) not valid;

comment on column subscriber.held is 'Always null. The right to update it is the right to lock the row.';
comment on column sell_plan.held is 'Always null. The right to update it is the right to lock the row.';

insert into schema_version (version) values (11);
