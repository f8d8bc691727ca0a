drop table customer;
drop function customer_has_no_cycle();
delete from schema_version where version = 3;
