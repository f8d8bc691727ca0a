-- What these columns say of themselves was true before operations were kept as long as their rows.

comment on column contact.deleted_by is 'The operation that deleted it, which is kept as long as this row. No foreign key: other services delete here too.';
comment on column address.deleted_by is 'The operation that deleted it, which is kept as long as this row. No foreign key: other services delete here too.';
comment on column external_params.deleted_by is 'The operation that deleted it, which is kept as long as this row. No foreign key: other services delete here too.';
comment on column zone.deleted_by is 'The operation that deleted it, which is kept as long as this row. No foreign key: other services delete here too.';
comment on column product.deleted_by is 'The operation that deleted it, which is kept as long as this row. No foreign key: other services delete here too.';

insert into schema_version (version, oldest_build) values (19, 15);
