drop view live_address;
drop table address;
delete from schema_version where version = 7;
