drop table product_allocation;
drop table product;
delete from schema_version where version = 9;
