drop view live_product_allocation;
drop table product_allocation;
drop view live_product;
drop table product;
drop type renewal_interval;
delete from schema_version where version = 11;
