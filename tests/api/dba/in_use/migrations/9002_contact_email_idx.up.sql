-- no-transaction
-- Built while others write, which is impossible in a transaction. So the statement is alone in its file, and 9003 records it.

create index concurrently if not exists contact_email_idx on contact (email);
