-- transaction_id: the id of this transaction.
select pg_current_xact_id()::text as "id!"
