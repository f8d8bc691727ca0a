drop view live_zone;
drop table zone;
delete from schema_version where version = 10;
