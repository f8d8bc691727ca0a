drop publication customer_deletion;
drop trigger operation_is_sent_whole on operation;
drop function operation_is_sent_whole();
alter table operation replica identity default;
drop index operation_replica_identity;
delete from schema_version where version = 12;
