drop view live_contact;
drop table contact;
drop type contact_role;
drop type contact_type;
delete from schema_version where version = 6;
