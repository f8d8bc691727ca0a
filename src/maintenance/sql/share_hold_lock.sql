-- share_hold_lock: keeps new holds waiting until this transaction ends. Whatever it erases was under no hold that is in force by then.
select pg_advisory_xact_lock_shared(7521086349871205)::text
