drop view live_external_params;
drop table external_params;
delete from schema_version where version = 9;
