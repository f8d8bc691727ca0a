-- check_writable: whether this server takes writes.
select current_setting('transaction_read_only') = 'off' as "writable!"
