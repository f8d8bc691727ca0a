delete from schema_version where version in (17, 18);
