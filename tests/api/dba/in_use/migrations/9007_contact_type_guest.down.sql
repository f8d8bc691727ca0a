-- The word stays: PostgreSQL cannot remove it.
delete from schema_version where version = 9007;
