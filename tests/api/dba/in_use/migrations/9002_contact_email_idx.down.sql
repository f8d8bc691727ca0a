-- no-transaction
drop index concurrently if exists contact_email_idx;
