-- By how much the two sides of a difference differed when it was told last, where that can be said in one number.
ALTER TABLE differences ADD COLUMN amount TEXT;
