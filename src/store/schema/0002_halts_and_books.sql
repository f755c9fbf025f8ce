-- What may not trade. One halt a scope; `scope` and `origin` are JSON. The halt file is a halt of its own and is not here.
CREATE TABLE halts (
    venue TEXT NOT NULL,
    scope TEXT NOT NULL,
    level TEXT NOT NULL,
    origin TEXT NOT NULL,
    reason TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER,
    PRIMARY KEY (venue, scope)
) STRICT, WITHOUT ROWID;

-- What an operator did, in words, for the next cycle's prompt and for the record. `at` is market time.
CREATE TABLE operator_actions (
    id INTEGER PRIMARY KEY,
    venue TEXT NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    account TEXT,
    symbol TEXT,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX operator_actions_by_time ON operator_actions (venue, at);

-- The note that waits for the next cycle of a venue.
CREATE TABLE notes (
    venue TEXT PRIMARY KEY,
    text TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Where exchange and journal disagree, from when to when. Never deleted.
CREATE TABLE differences (
    id INTEGER PRIMARY KEY,
    venue TEXT NOT NULL,
    account TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    ended_at INTEGER
) STRICT;
CREATE UNIQUE INDEX differences_open ON differences (venue, account, kind, subject) WHERE ended_at IS NULL;

-- What a wallet held beyond the ledger's sum when the ledger was first compared with it.
CREATE TABLE wallet_baselines (
    venue TEXT NOT NULL,
    account TEXT NOT NULL,
    amount TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (venue, account)
) STRICT, WITHOUT ROWID;

-- Installations whose orders an operator has accepted beside ours on an account.
CREATE TABLE known_installs (
    venue TEXT NOT NULL,
    account TEXT NOT NULL,
    tag TEXT NOT NULL,
    PRIMARY KEY (venue, account, tag)
) STRICT, WITHOUT ROWID;
