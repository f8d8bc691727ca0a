-- no-transaction
drop index concurrently if exists operation_by_requester;
