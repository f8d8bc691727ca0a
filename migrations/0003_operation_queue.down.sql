-- Queued operations would stay open for ever. Let the workers end them first.
lock table operation_queue in access exclusive mode;

do $$
begin
  if exists (select from operation_queue) then
    raise exception 'operations are waiting' using hint = 'Take no more asynchronous calls, and try again when the queue is empty.';
  end if;
end
$$;

drop table operation_queue;
delete from schema_version where version = 3;
