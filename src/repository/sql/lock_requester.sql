-- lock_requester: lets the other limited calls of a requester wait until this transaction ends.
--
-- $1 requester
select pg_advisory_xact_lock(hashtextextended($1::uuid::text, 7521086349871208))::text
