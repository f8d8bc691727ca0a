drop publication customer_deletion_restorations;
drop function deleted_until_restored();
drop function deleted_once();
drop table restored_row;
drop table restoration;
drop function restoration_is_whole();
drop function restoration_is_of_its_operation();
delete from schema_version where version = 4;
