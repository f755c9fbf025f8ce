-- Money and cycles over a span of market time: without these, a day is looked for in all of history.
CREATE INDEX ledger_by_venue ON ledger (venue, at);
CREATE INDEX cycles_by_market_time ON cycles (venue, market_time);
