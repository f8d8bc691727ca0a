drop table address;
delete from schema_version where version = 5;
