-- How the conversation of a cycle ended when it brought no answer or no repair, as JSON: for having it again.
ALTER TABLE cycles ADD COLUMN ending TEXT;
