delete from schema_version where version = 9001;
alter table contact drop column department;
