-- now: the database's clock, by which rows were deleted.
select now() as "now!"
