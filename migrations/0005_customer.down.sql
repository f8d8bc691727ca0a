drop view live_customer;
drop table customer;
drop function customer_has_no_cycle();
drop table customer_tree;
delete from schema_version where version = 5;
