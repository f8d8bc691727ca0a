-- prove_commit: writes a message to the WAL and changes nothing. So the commit of this statement
-- waits for the same standbys as any other.
select pg_logical_emit_message(true, 'customer-deletion', '')::text as "position!"
