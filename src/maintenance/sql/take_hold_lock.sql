-- take_hold_lock: waits until no transaction erases rows, and keeps others from it until this transaction ends.
select pg_advisory_xact_lock(7521086349871205)::text
