-- Rows of the demo's world that schemathesis may delete, more than it comes to. The ids are the same in every run.
\set requester '\'5b0c2a94-7d36-4e58-9a1f-c3e86d4f0b27\''
\set sub_customer '\'a91d4e60-38fb-4c72-b5d9-1e07f2c6a843\''

create function pg_temp.made_up_id(resource text, number integer) returns uuid
  language sql immutable
  return md5(resource || number)::uuid;

insert into contact (id, customer_id, email, mobile)
select pg_temp.made_up_id('contact', number), :sub_customer, 'somebody@example.com', '+4915100000'
from generate_series(1, 400) as number;

insert into address (id, customer_id, line_1, city, country_code)
select pg_temp.made_up_id('address', number), :sub_customer, number || ' Kai', 'Hamburg', 'DEU'
from generate_series(1, 400) as number;

insert into external_params (id, customer_id, sub_customer_id, name, value)
select pg_temp.made_up_id('external-params', number), :requester, :sub_customer, 'number-' || number, number
from generate_series(1, 400) as number;

insert into zone (id, customer_id, name, country_code)
select pg_temp.made_up_id('zone', number), :requester, 'Zone ' || number, 'DEU'
from generate_series(1, 400) as number;

insert into product (id, customer_id, name)
select pg_temp.made_up_id('product', number), :requester, 'Product ' || number
from generate_series(1, 400) as number;

insert into product_allocation (id, product_id, customer_id)
select pg_temp.made_up_id('allocation', number), pg_temp.made_up_id('product', number), :sub_customer
from generate_series(1, 400) as number
where number % 2 > 0;
