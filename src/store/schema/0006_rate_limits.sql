-- What the provider said of its rate limits with an answer, each with what was left of it.
ALTER TABLE model_calls ADD COLUMN rate_limits TEXT;
