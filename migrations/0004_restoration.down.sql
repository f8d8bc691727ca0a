drop publication customer_deletion_restorations;
drop function deleted_until_restored();
drop function deleted_once();
drop table restoration;
delete from schema_version where version = 4;
