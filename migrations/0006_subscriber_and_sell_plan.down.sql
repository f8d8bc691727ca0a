drop table sell_plan;
drop table subscriber;
delete from schema_version where version = 6;
