drop table external_params;
delete from schema_version where version = 7;
