-- A row for every try of a request to the model: its HTTP status (none when no head of an answer came), and whether a
-- figure of its usage is an estimate because the provider told none.
ALTER TABLE model_calls ADD COLUMN status INTEGER;
ALTER TABLE model_calls ADD COLUMN is_estimate INTEGER NOT NULL DEFAULT 0;
