drop table operation;
drop function operation_ends_once();
delete from schema_version where version = 10;
