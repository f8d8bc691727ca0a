-- A new word in an enum. Only later files can use it.

alter type contact_type add value if not exists 'GUEST' after 'MEMBER';

insert into schema_version (version, oldest_build) values (9007, 12);
