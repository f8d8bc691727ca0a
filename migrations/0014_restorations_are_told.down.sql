drop publication customer_deletion_restorations;
delete from schema_version where version = 14;
