drop table zone;
delete from schema_version where version = 8;
