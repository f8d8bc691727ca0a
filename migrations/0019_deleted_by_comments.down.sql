comment on column contact.deleted_by is 'The operation that deleted it. No foreign key: operations are purged earlier than rows.';
comment on column address.deleted_by is 'The operation that deleted it. No foreign key: operations are purged earlier than rows.';
comment on column external_params.deleted_by is 'The operation that deleted it. No foreign key: operations are purged earlier than rows.';
comment on column zone.deleted_by is 'The operation that deleted it. No foreign key: operations are purged earlier than rows.';
comment on column product.deleted_by is 'The operation that deleted it. No foreign key: operations are purged earlier than rows.';

delete from schema_version where version = 19;
