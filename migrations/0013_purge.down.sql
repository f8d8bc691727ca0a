drop table erasure;
drop table purge;
drop function erasure_is_kept();
drop function purge_is_kept();
delete from schema_version where version = 13;
