-- Halts of one scope by different hands stand beside each other: `hand` is operator, guard or desk, and one of them taken
-- back or run out leaves the others.
CREATE TABLE halts_by_hand (
    venue TEXT NOT NULL,
    scope TEXT NOT NULL,
    hand TEXT NOT NULL,
    level TEXT NOT NULL,
    origin TEXT NOT NULL,
    reason TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER,
    PRIMARY KEY (venue, scope, hand)
) STRICT, WITHOUT ROWID;
INSERT INTO halts_by_hand (venue, scope, hand, level, origin, reason, since, until)
    SELECT venue, scope, json_extract(origin, '$.by'), level, origin, reason, since, until FROM halts;
DROP TABLE halts;
ALTER TABLE halts_by_hand RENAME TO halts;
