-- The world of the benchmark: customers in chains, sub-customers below them, and contacts.
--
-- Everything follows from numbers, and ids are hashes of them: without an order, as in production. Words in braces are
-- filled in before this runs.
--
--   customers from 0                 chains side by side, one for each requester, which is the lowest of its chain
--   customers from {ancestors}       sub-customers of the requesters, in turn; these are the leaves, numbered from 0 again
--   leaves from 0                    with {few} contacts each, for calls of a few ids
--   leaves from {first_large}        the same, but all of them are sub-customers of the first requester
--   leaves from {leaves_with_few}    with {many} contacts each, for calls of many ids; those from {leaves} on have none
--   contacts from {contacts}         further ones of leaves with few, which are deleted before anything is measured

create schema bench;

create function bench.customer_id(number bigint) returns uuid
language sql immutable parallel safe
as 'select md5(''customer '' || number::text)::uuid';

create function bench.contact_id(number bigint) returns uuid
language sql immutable parallel safe
as 'select md5(''contact '' || number::text)::uuid';

create function bench.requester_id(leaf bigint) returns uuid
language sql immutable parallel safe
as 'select bench.customer_id({ancestors} - {requesters} + case
  when leaf >= {first_large} and leaf < {leaves_with_few} then 0
  else leaf % {requesters}
end)';

create function bench.leaf_id(leaf bigint) returns uuid
language sql immutable parallel safe
as 'select bench.customer_id({ancestors} + leaf)';

create function bench.first_contact(leaf bigint) returns bigint
language sql immutable parallel safe
as 'select least(leaf, {leaves_with_few}) * {few} + greatest(leaf - {leaves_with_few}, 0) * {many}';

-- The calls of one run, which use up the contacts of its leaves. Neighbouring calls are about different customers, so that
-- the calls in flight are as well.
create function bench.calls(first_leaf bigint, leaves bigint, ids_per_call bigint, calls bigint)
returns table (number bigint, requester_id uuid, customer_id uuid, ids uuid[])
language sql stable
as $$
  select
    call.number,
    bench.requester_id(leaf.number),
    bench.leaf_id(leaf.number),
    array(
      select bench.contact_id(contact.number)
      from generate_series(leaf.next_contact, leaf.next_contact + ids_per_call - 1) as contact (number)
      order by 1
    )
  from generate_series(0, calls - 1) as call (number)
  cross join lateral (
    select
      first_leaf + call.number % leaves,
      bench.first_contact(first_leaf + call.number % leaves) + call.number / leaves * ids_per_call
  ) as leaf (number, next_contact)
$$;

-- Triggers and foreign keys are off during the load: the rows are valid, and may be 20 million.
set session_replication_role = replica;

insert into customer (id, parent_id, name)
select
  bench.customer_id(number),
  case
    when number < {requesters} then null
    when number < {ancestors} then bench.customer_id(number - {requesters})
    else bench.requester_id(number - {ancestors})
  end,
  'customer ' || number
from generate_series(0::bigint, {customers} - 1) as number;

-- In no order either: the contacts of a customer came one by one, between those of others.
set work_mem = '1GB';

insert into contact (id, customer_id, email, first_name, last_name, {phone})
select
  bench.contact_id(number),
  bench.leaf_id(
    case
      when number < {leaves_with_few} * {few} then number / {few}
      when number < {contacts} then {leaves_with_few} + (number - {leaves_with_few} * {few}) / {many}
      else number % {leaves_with_few}
    end
  ),
  'contact-' || number || '@example.com',
  'First-' || number % 1000,
  'Last-' || number,
  '+49151' || lpad(number::text, 8, '0')
from (
  select number
  from generate_series(0::bigint, {contacts} + {deleted} - 1) as number
  order by hashint8(number)
) as shuffled;

reset work_mem;

-- Calls of an earlier time. A plan that is made while the table of operations is empty reads all of it, and a session keeps
-- its plans until the table is analyzed.
create temporary view history as
select number from generate_series(0::bigint, {customers} - 1) as number;

{history};

reset session_replication_role;
