-- no-transaction
-- Built beside the writers, which no transaction can do: the statement is alone in its file, and 9003 records it.

create index concurrently if not exists contact_email_idx on contact (email);
