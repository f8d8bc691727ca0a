drop table contact;
delete from schema_version where version = 4;
