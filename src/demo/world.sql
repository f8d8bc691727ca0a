-- Sample data to try the service on: one platform of four levels, and a neighbour. Everybody in it
-- is made up; e-mail addresses end in example.com, telephone numbers are of the ranges that are
-- kept free for films.
--
-- The rows that the printed calls name are written out, with ids that world.rs repeats. The others
-- are made from lists, with ids that are the same in every world.

create function pg_temp.made_up_id(variadic parts text[]) returns uuid
language sql as $$
  -- A digest in the shape of a random UUID: version 4, variant 8.
  select overlay(overlay(md5(array_to_string(parts, '/')) placing '4' from 13) placing '8' from 17)::uuid
$$;

-- The tree. Parents stand before their children.
create temporary table account (
  place integer generated always as identity,
  id uuid,
  parent text,
  name text primary key,
  country text,
  city text,
  postal_code text,
  -- The platforms and their resellers: they have products and zones.
  carrier boolean generated always as (coalesce(parent, 'Meridian Mobile') = 'Meridian Mobile') stored
) on commit drop;

insert into account (id, parent, name, country, city, postal_code)
values
  ('e7cf5371-12b0-4a1d-8f63-5d0a9c2b7e14', null, 'Meridian Mobile', 'NLD', 'Amsterdam', '1012 AB'),

  ('5b0c2a94-7d36-4e58-9a1f-c3e86d4f0b27', 'Meridian Mobile', 'Nordlicht Telekom', 'DEU', 'Hamburg', '20095'),
  (null, 'Meridian Mobile', 'Alpenfunk', 'AUT', 'Innsbruck', '6020'),
  (null, 'Meridian Mobile', 'Ebro Red Digital', 'ESP', 'Zaragoza', '50001'),
  (null, 'Meridian Mobile', 'Great Lakes Wireless', 'USA', 'Milwaukee', '53202'),
  (null, 'Meridian Mobile', 'Baltic SIM Trading', 'EST', 'Tallinn', '10111'),

  ('a91d4e60-38fb-4c72-b5d9-1e07f2c6a843', 'Nordlicht Telekom', 'Hafenlogistik Nord', 'DEU', 'Hamburg', '20457'),
  (null, 'Nordlicht Telekom', 'Windpark Fehmarn', 'DEU', 'Burg', '23769'),
  (null, 'Nordlicht Telekom', 'Kanalfrost Spedition', 'DEU', 'Kiel', '24103'),
  (null, 'Nordlicht Telekom', 'Elbwiesen Carsharing', 'DEU', 'Dresden', '01067'),
  (null, 'Alpenfunk', 'Bergbahnen Hochsonn', 'AUT', 'Landeck', '6500'),
  (null, 'Alpenfunk', 'Inntaler Milchhof', 'AUT', 'Schwaz', '6130'),
  (null, 'Ebro Red Digital', 'Regantes del Ebro', 'ESP', 'Tudela', '31500'),
  (null, 'Ebro Red Digital', 'Flota Levante', 'ESP', 'Valencia', '46001'),
  (null, 'Great Lakes Wireless', 'Lakeshore Metering', 'USA', 'Racine', '53403'),
  (null, 'Great Lakes Wireless', 'Prairie Grain Telematics', 'USA', 'Peoria', '61602'),

  (null, 'Hafenlogistik Nord', 'Terminal Waltershof', 'DEU', 'Hamburg', '21129'),
  (null, 'Hafenlogistik Nord', 'Terminal Bremerhaven', 'DEU', 'Bremerhaven', '27568'),
  (null, 'Hafenlogistik Nord', 'Leercontainerlager Stade', 'DEU', 'Stade', '21680'),
  (null, 'Windpark Fehmarn', 'Umspannwerk Presen', 'DEU', 'Presen', '23769'),
  (null, 'Windpark Fehmarn', 'Leitstand Puttgarden', 'DEU', 'Puttgarden', '23769'),
  (null, 'Kanalfrost Spedition', 'Eiswerk Rendsburg', 'DEU', 'Rendsburg', '24768'),
  (null, 'Kanalfrost Spedition', 'Werkstatt Flensburg', 'DEU', 'Flensburg', '24937'),
  (null, 'Bergbahnen Hochsonn', 'Talstation', 'AUT', 'Landeck', '6500'),
  (null, 'Bergbahnen Hochsonn', 'Schneeanlage Ost', 'AUT', 'Zams', '6511'),
  (null, 'Inntaler Milchhof', 'Sammelstelle Wattens', 'AUT', 'Wattens', '6112'),
  (null, 'Regantes del Ebro', 'Bombeo Cortes', 'ESP', 'Cortes', '31530'),
  (null, 'Regantes del Ebro', 'Bombeo Alfaro', 'ESP', 'Alfaro', '26540'),
  (null, 'Flota Levante', 'Cocheras Sagunto', 'ESP', 'Sagunto', '46500'),
  (null, 'Lakeshore Metering', 'District Wind Point', 'USA', 'Wind Point', '53402'),
  (null, 'Lakeshore Metering', 'District Caledonia', 'USA', 'Caledonia', '53108'),
  (null, 'Prairie Grain Telematics', 'Elevator Chillicothe', 'USA', 'Chillicothe', '61523'),

  (null, null, 'Tasman IoT', 'NZL', 'Wellington', '6011'),
  (null, 'Tasman IoT', 'Harbour Ferries', 'NZL', 'Nelson', '7010');

update account set id = pg_temp.made_up_id('customer', name) where id is null;

insert into customer (id, parent_id, name)
select account.id, parent.id, account.name
from account
left join account as parent on parent.name = account.parent
order by account.place;

-- Contacts: four of Hafenlogistik Nord, of which an operation of today has deleted two, and two of
-- every customer.
insert into contact (id, customer_id, role, email, salutation, first_name, last_name, gender, mobile)
select contact.id, customer.id, role::contact_role, email, salutation, first_name, last_name, gender, mobile
from customer
cross join (
  values
    (
      '3c8e71f5-90a2-4b6d-8e34-7f15d2a6c098'::uuid, 'SELFCARE', 'wiebke.petersen@hafenlogistik-nord.example.com',
      'Frau', 'Wiebke', 'Petersen', 'FEMALE', '+49 171 39200 11'
    ),
    (
      'd26f0b8a-4c17-4935-a7e8-05b9c3f1e76d', 'NONE', 'ole.hansen@hafenlogistik-nord.example.com',
      'Herr', 'Ole', 'Hansen', 'MALE', '+49 171 39200 12'
    ),
    (
      '81b5d9e3-6a0f-4278-9c4d-e2f76a1b5c30', 'SELFCARE', 'jonas.brandt@hafenlogistik-nord.example.com',
      'Herr', 'Jonas', 'Brandt', 'MALE', '+49 171 39200 13'
    ),
    (
      'f40a6c2d-e9b7-4d83-8156-9b3e0d7f2a41', 'NONE', 'meike.thomsen@hafenlogistik-nord.example.com',
      'Frau', 'Meike', 'Thomsen', 'FEMALE', '+49 171 39200 14'
    )
) as contact (id, role, email, salutation, first_name, last_name, gender, mobile)
where customer.name = 'Hafenlogistik Nord';

with
  person as (
    select
      account.id as customer_id,
      account.country,
      account.place,
      number,
      -- Women stand at the odd places of the list.
      (account.place + number) % 2 = 1 as female,
      (array['Anna', 'Jan', 'Carmen', 'Mateo', 'Karin', 'Felix', 'Grace', 'Henry', 'Signe', 'Toomas', 'Marta', 'Pieter'])
        [1 + (account.place + number - 1) % 12] as first_name,
      (array['Berger', 'Jansen', 'Ferrer', 'Moser', 'Whitfield', 'Tamm', 'Lorenz', 'Navarro', 'Visser', 'Holt', 'Kramer'])
        [1 + (account.place * 3 + number * 5) % 11] as last_name,
      lower(regexp_replace(account.name, '[^a-zA-Z]+', '-', 'g')) || '.example.com' as domain
    from account
    cross join generate_series(1, 2) as number
  )
insert into contact (id, customer_id, type, role, is_primary, email, first_name, last_name, gender, mobile)
select
  pg_temp.made_up_id('contact', customer_id::text, number::text),
  customer_id,
  (case number when 1 then 'OWNER' else 'MEMBER' end)::contact_type,
  (case number when 1 then 'SELFCARE' else 'NONE' end)::contact_role,
  number = 1,
  lower(first_name || '.' || last_name || '@' || domain),
  first_name,
  last_name,
  case when female then 'FEMALE' else 'MALE' end,
  case country
    when 'DEU' then '+49 171 39200 ' || 15 + 2 * place + number
    when 'USA' then '+1 414 555 01' || 15 + 2 * place + number
    else '+44 7700 900' || 115 + 2 * place + number
  end
from person;

-- Addresses: two more of Hafenlogistik Nord, and one of every customer.
insert into address (id, customer_id, line_1, line_2, city, postal_code, country_code)
select address.id, customer.id, line_1, line_2, city, postal_code, 'DEU'
from customer
cross join (
  values
    ('b7e2093f-5c84-4a16-9d70-e81f6b4c2d95'::uuid, 'Sandtorkai 40', 'Speicher E, 3. Boden', 'Hamburg', '20457'),
    ('0d95f8a7-2e6b-4c31-8fa4-36c7d1b9e052', 'Am Containerbahnhof 8', 'Tor 3', 'Bremerhaven', '27568')
) as address (id, line_1, line_2, city, postal_code)
where customer.name = 'Hafenlogistik Nord';

insert into address (id, customer_id, is_primary, line_1, city, postal_code, country_code)
select
  pg_temp.made_up_id('address', id::text),
  id,
  true,
  case country
    when 'USA' then place * 7 || ' ' || (array['Harbor Street', 'Mill Road', 'Depot Avenue'])[1 + place % 3]
    when 'NZL' then place * 7 || ' Wharf Road'
    when 'ESP' then (array['Calle del Puente ', 'Avenida del Agua ', 'Camino Real '])[1 + place % 3] || place
    else (array['Hafenweg ', 'Am Bahnhof ', 'Lindenweg ', 'Werkweg '])[1 + place % 4] || place
  end,
  city,
  postal_code,
  country
from account;

-- Four subscribers of every customer below the resellers, and two sell plans of everybody above the
-- sites.
insert into subscriber (id, customer_id, name)
select
  pg_temp.made_up_id('subscriber', id::text, number::text),
  id,
  (array['Router', 'Tracker', 'Meter', 'Gateway', 'Sensor', 'Camera', 'Handheld'])[1 + (place + number) % 7]
    || ' ' || place || '-' || number
from account
cross join generate_series(1, 4) as number
where not carrier;

insert into sell_plan (id, customer_id, name)
select pg_temp.made_up_id('sell plan', account.id::text, plan.name), account.id, plan.name
from account
cross join (values ('Pay as you go'), ('Annual commitment')) as plan (name)
where exists (select from account as child where child.parent = account.name);

-- External params: one that is written out, and some on all three kinds of entities.
insert into external_params (id, customer_id, sub_customer_id, name, value)
select '6af1c3d8-b025-4e97-a3c6-4d80e5f9172b', parent_id, id, 'debtor-number', '0010048213'
from customer
where name = 'Hafenlogistik Nord';

insert into external_params (id, customer_id, sub_customer_id, name, value)
select pg_temp.made_up_id('crm', id::text), parent_id, id, 'crm-account', 'A-' || upper(left(md5(name), 6))
from customer
where parent_id is not null;

insert into external_params (id, customer_id, subscriber_id, name, value)
select pg_temp.made_up_id('asset', id::text), customer_id, id, 'asset-tag', upper(left(md5(name), 8))
from subscriber
where name like '%-1';

insert into external_params (id, customer_id, sell_plan_id, name, value)
select pg_temp.made_up_id('ledger', id::text), customer_id, id, 'ledger-account', '44' || ascii(name) || '00'
from sell_plan;

-- Zones: one that is written out, and a third of these countries for every carrier.
create temporary table network (
  place integer generated always as identity,
  country text,
  name text,
  plmns text[]
) on commit drop;

insert into network (country, name, plmns)
values
  ('DEU', 'Germany', '{26201,26202,26203}'),
  ('FRA', 'France', '{20801,20810,20815,20820}'),
  ('ESP', 'Spain', '{21401,21403,21407}'),
  ('PRT', 'Portugal', '{26801,26803,26806}'),
  ('ITA', 'Italy', '{22201,22210,22250,22288}'),
  ('AUT', 'Austria', '{23201,23203,23205}'),
  ('CHE', 'Switzerland', '{22801,22802,22803}'),
  ('NLD', 'Netherlands', '{20404,20408,20416}'),
  ('BEL', 'Belgium', '{20601,20610,20620}'),
  ('GBR', 'United Kingdom', '{23410,23415,23420,23430}'),
  ('DNK', 'Denmark', '{23801,23802,23806}'),
  ('SWE', 'Sweden', '{24001,24002,24007}'),
  ('NOR', 'Norway', '{24201,24202}'),
  ('FIN', 'Finland', '{24405,24412,24491}'),
  ('EST', 'Estonia', '{24801,24802,24803}'),
  ('POL', 'Poland', '{26001,26002,26003,26006}'),
  ('CZE', 'Czechia', '{23001,23002,23003}'),
  ('USA', 'United States', '{310260,310410,311480}'),
  ('CAN', 'Canada', '{302220,302610,302720}'),
  ('MEX', 'Mexico', '{334020,334050}'),
  ('AUS', 'Australia', '{50501,50502,50503}'),
  ('NZL', 'New Zealand', '{53001,53005,53024}');

insert into zone (id, customer_id, name, description, country_code, plmns)
select
  '94d7b1e0-8f3c-4526-b8a9-c05e2f7d6413', id, 'Baltic ports', 'Ferries and terminals', 'POL', '{26001,26002,26003,26006}'
from customer
where name = 'Nordlicht Telekom';

insert into zone (id, customer_id, name, country_code, plmns)
select
  pg_temp.made_up_id('zone', account.id::text, network.country),
  account.id,
  network.name,
  network.country,
  network.plmns
from account
cross join network
where account.carrier
  and (account.place + network.place) % 3 = 0;

-- Products: two of Nordlicht Telekom that are written out, and six of every carrier. Some are
-- allocated, some no longer.
insert into product (id, customer_id, name, description, cost, currency, renewal_interval)
select product.id, customer.id, product.name, description, cost, 'EUR', 'MONTHLY'
from customer
cross join (
  values
    ('2e60f9c4-d17a-4b58-9e02-a7d4c8135fb6'::uuid, 'Fleet 500 MB', 'For vehicles; no longer sold', 2.90),
    ('c85a17d2-4f9e-4036-86db-10e7b3f5a92c', 'Terminal 5 GB', 'For cranes and gates', 11.50)
) as product (id, name, description, cost)
where customer.name = 'Nordlicht Telekom';

insert into product (id, customer_id, name, cost, currency, renewal_interval)
select
  pg_temp.made_up_id('product', account.id::text, product.name),
  account.id,
  product.name,
  product.cost,
  case country when 'USA' then 'USD' when 'NZL' then 'NZD' else 'EUR' end,
  product.renewal_interval::renewal_interval
from account
cross join (
  values
    ('Meter 10 MB', 4.80, 'ANNUALLY'),
    ('Tracker 50 MB', 1.20, 'MONTHLY'),
    ('Router 20 GB', 24.00, 'MONTHLY'),
    ('Day pass 1 GB', 0.95, 'DAILY'),
    ('Backup line', 9.00, 'QUARTERLY'),
    ('SIM card', 1.50, 'ONE_TIME')
) as product (name, cost, renewal_interval)
where carrier;

insert into product_allocation (id, product_id, customer_id, detached_at)
select
  pg_temp.made_up_id('allocation', product.id::text, customer.id::text),
  product.id,
  customer.id,
  case
    when product.name = 'Fleet 500 MB' and customer.name <> 'Elbwiesen Carsharing' then now() - interval '20 days'
    when product.name = 'Backup line' then now() - interval '3 days'
  end
from product
join customer on customer.parent_id = product.customer_id
where product.name in ('Fleet 500 MB', 'Terminal 5 GB', 'Tracker 50 MB', 'Backup line');

-- Two customers have left. Their contacts are still there, but out of reach, and their allocations
-- count no longer: this is what sets Fleet 500 MB free.
update customer
set deleted_at = now() - interval '10 days'
where name in ('Baltic SIM Trading', 'Elbwiesen Carsharing');

-- An operation of today, with the requestId of the documentation's examples. Lists of operations
-- are in the order of their ids, and this one is older than any that a service makes.
insert into operation (
  id, requester_id, customer_id, resource, target_ids, status, deleted_rows, created_at, completed_at
)
select
  '01946983-4c40-7e85-a42b-13860913b370', parent_id, id, 'contact',
  '{81b5d9e3-6a0f-4278-9c4d-e2f76a1b5c30,f40a6c2d-e9b7-4d83-8156-9b3e0d7f2a41}', 'SUCCESS', 2,
  now() - interval '2 hours', now() - interval '2 hours' + interval '4 milliseconds'
from customer
where name = 'Hafenlogistik Nord';

-- The guard of the table allows no other time than now.
alter table contact disable trigger contact_deleted_once;

update contact
set deleted_at = operation.created_at, deleted_by = operation.id
from operation
where contact.id = any (operation.target_ids);

alter table contact enable trigger contact_deleted_once;
