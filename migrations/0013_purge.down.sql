drop table erasure;
drop table purge;
delete from schema_version where version = 13;
