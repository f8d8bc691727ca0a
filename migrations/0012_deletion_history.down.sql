drop view deletion_history;
delete from schema_version where version = 12;
