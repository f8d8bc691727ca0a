-- contacts_of_customer: the deleted rows of a customer, and the live ones too if the
-- customer itself is deleted.
--
-- $1 customer  $2 whether live ones too
select contact.id
from contact
where contact.customer_id = $1
  and ($2 or contact.deleted_at is not null)
order by contact.id
