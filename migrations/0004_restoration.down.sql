do $$
begin
  execute format('drop publication %I', concat('customer_deletion_restorations', '_of_' || nullif(current_schema(), 'public')));
end
$$;
drop function deleted_until_restored();
drop function deleted_once();
drop table restoration;
drop function restoration_is_whole();
drop function restoration_is_of_its_operation();
drop function restoration_outlasts_its_operation();
drop trigger operation_is_kept on operation;
drop function record_is_kept();
delete from schema_version where version = 4;
