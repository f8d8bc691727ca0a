-- release_hold: releases a hold that is in force. The database writes by whom.
--
-- $1 hold
update legal_hold
set released_at = now()
where legal_hold.id = $1
  and legal_hold.released_at is null
