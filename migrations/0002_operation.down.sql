do $$
begin
  execute format('drop publication %I', concat('customer_deletion', '_of_' || nullif(current_schema(), 'public')));
end
$$;
drop table operation;
drop function operation_is_valid(text, uuid[], text, integer, text, timestamptz, text);
drop function operation_is_sent_whole();
drop function operation_ends_once();
drop type resource;
delete from schema_version where version = 2;
