-- PostgreSQL stores a default of a new column in the catalog, and rewrites no row.

alter table contact add column department text not null default 'none';

comment on column contact.department is 'Where in the customer''s house the contact works.';

insert into schema_version (version, oldest_build) values (9001, 12);
