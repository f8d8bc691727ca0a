delete from schema_version where version in (9002, 9003);
