-- share_hold_lock: lets a hold that is placed from now on wait until this transaction ends.
select pg_advisory_xact_lock_shared(7521086349871205)::text
