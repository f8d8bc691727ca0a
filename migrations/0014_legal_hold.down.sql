-- This migration would delete the holds. Release them first.
lock table legal_hold in access exclusive mode;

do $$
begin
  if exists (select from legal_hold where legal_hold.released_at is null) then
    raise exception 'customers are under legal hold' using hint = 'Release the holds first.';
  end if;
end
$$;

drop trigger customer_is_not_on_hold on customer;
drop trigger contact_is_not_on_hold on contact;
drop trigger address_is_not_on_hold on address;
drop trigger subscriber_is_not_on_hold on subscriber;
drop trigger sell_plan_is_not_on_hold on sell_plan;
drop trigger external_params_is_not_on_hold on external_params;
drop trigger zone_is_not_on_hold on zone;
drop trigger product_is_not_on_hold on product;
drop trigger product_allocation_is_not_on_hold on product_allocation;
drop trigger operation_is_not_on_hold on operation;
drop trigger restoration_is_not_on_hold on restoration;
drop trigger customer_stays_on_hold on customer;
drop trigger contact_stays_on_hold on contact;
drop trigger address_stays_on_hold on address;
drop trigger subscriber_stays_on_hold on subscriber;
drop trigger sell_plan_stays_on_hold on sell_plan;
drop trigger external_params_stays_on_hold on external_params;
drop trigger zone_stays_on_hold on zone;
drop trigger product_stays_on_hold on product;
drop trigger product_allocation_stays_on_hold on product_allocation;
drop trigger operation_stays_on_hold on operation;
drop trigger customer_is_not_truncated on customer;
drop trigger contact_is_not_truncated on contact;
drop trigger address_is_not_truncated on address;
drop trigger subscriber_is_not_truncated on subscriber;
drop trigger sell_plan_is_not_truncated on sell_plan;
drop trigger external_params_is_not_truncated on external_params;
drop trigger zone_is_not_truncated on zone;
drop trigger product_is_not_truncated on product;
drop trigger product_allocation_is_not_truncated on product_allocation;
drop function row_is_not_on_hold();
drop function table_is_not_on_hold();
drop function legal_holds_are_seen();
drop table legal_hold;
drop function legal_hold_is_kept();
drop table legal_hold_count;
delete from schema_version where version = 14;
