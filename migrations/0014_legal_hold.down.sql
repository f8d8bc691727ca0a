-- This migration would delete the holds. Release them first.
lock table legal_hold in access exclusive mode;

do $$
begin
  if exists (select from legal_hold where legal_hold.released_at is null) then
    raise exception 'customers are under legal hold' using hint = 'Release the holds first.';
  end if;
end
$$;

-- "cascade" drops every trigger that uses these functions, also a trigger on a table of another
-- service. The tables are locked first, in the order in which a call locks them.
lock table
  customer, contact, address, subscriber, sell_plan, external_params, zone, product, product_allocation,
  operation, restoration
in access exclusive mode;
drop function row_is_not_on_hold() cascade;
drop function table_is_not_on_hold() cascade;
drop function legal_holds_are_seen();
drop table legal_hold;
drop function legal_hold_is_kept();
drop table legal_hold_count;
delete from schema_version where version = 14;
