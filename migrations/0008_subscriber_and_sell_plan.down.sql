drop view live_sell_plan;
drop table sell_plan;
drop view live_subscriber;
drop table subscriber;
delete from schema_version where version = 8;
