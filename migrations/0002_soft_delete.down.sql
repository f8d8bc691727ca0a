drop function deleted_once();
delete from schema_version where version = 2;
