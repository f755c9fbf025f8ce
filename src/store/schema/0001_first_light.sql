-- Times are UTC milliseconds, money is TEXT decimal, words are TEXT, JSON is TEXT.
-- `venue` names the world or exchange a row comes from: each counts its orders and trades from the start.

CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- A slot of a venue's schedule, once claimed, is never run again.
CREATE TABLE slots (
    venue TEXT NOT NULL,
    slot INTEGER NOT NULL,
    PRIMARY KEY (venue, slot)
) STRICT, WITHOUT ROWID;

-- Texts of prompts, by the SHA-256 of their bytes.
CREATE TABLE prompts (
    hash TEXT PRIMARY KEY CHECK (length(hash) = 64),
    kind TEXT NOT NULL,
    text TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE cycles (
    id TEXT PRIMARY KEY,
    venue TEXT NOT NULL,
    trigger TEXT NOT NULL,
    mode TEXT NOT NULL,
    dry_run INTEGER NOT NULL CHECK (dry_run IN (0, 1)),
    profile TEXT NOT NULL,
    market_time INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'finished', 'failed')),
    failure TEXT,
    finished_at INTEGER,
    system_prompt TEXT REFERENCES prompts (hash),
    user_prompt TEXT REFERENCES prompts (hash),
    provider TEXT,
    model TEXT,
    iterations INTEGER,
    stop_reason TEXT,
    analysis TEXT,
    input_tokens INTEGER,
    output_tokens INTEGER,
    cache_read_input_tokens INTEGER,
    cache_creation_input_tokens INTEGER,
    cost_usd TEXT,
    report TEXT
) STRICT;
CREATE INDEX cycles_by_start ON cycles (started_at);
CREATE INDEX cycles_by_venue ON cycles (venue, started_at);

CREATE TABLE briefs (
    cycle TEXT PRIMARY KEY REFERENCES cycles (id),
    brief TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE model_calls (
    id INTEGER PRIMARY KEY,
    cycle TEXT NOT NULL REFERENCES cycles (id),
    iteration INTEGER NOT NULL,
    at INTEGER NOT NULL,
    request BLOB NOT NULL,
    response BLOB NOT NULL,
    stop_reason TEXT,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cache_read_input_tokens INTEGER NOT NULL,
    cache_creation_input_tokens INTEGER NOT NULL,
    cost_usd TEXT NOT NULL,
    request_id TEXT,
    ms REAL NOT NULL,
    error TEXT
) STRICT;
CREATE INDEX model_calls_by_cycle ON model_calls (cycle);
CREATE INDEX model_calls_by_time ON model_calls (at);

CREATE TABLE tool_calls (
    id INTEGER PRIMARY KEY,
    cycle TEXT NOT NULL REFERENCES cycles (id),
    iteration INTEGER NOT NULL,
    endpoint TEXT NOT NULL,
    params TEXT NOT NULL,
    status INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    ms REAL NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX tool_calls_by_cycle ON tool_calls (cycle);

CREATE TABLE decisions (
    cycle TEXT NOT NULL REFERENCES cycles (id),
    account TEXT NOT NULL,
    symbol TEXT NOT NULL,
    decision TEXT,
    confidence TEXT,
    reason TEXT NOT NULL,
    market_bias TEXT,
    risk_note TEXT,
    outcome TEXT,
    rule TEXT,
    detail TEXT,
    orders TEXT,
    PRIMARY KEY (cycle, account, symbol)
) STRICT, WITHOUT ROWID;

-- The journal: a row stands here before its order is sent. Exactly one of the three origins is set. `sent_at` is wall
-- time, the other times are market time.
CREATE TABLE orders (
    venue TEXT NOT NULL,
    client_order_id TEXT NOT NULL,
    account TEXT NOT NULL,
    symbol TEXT NOT NULL,
    purpose TEXT NOT NULL,
    side TEXT NOT NULL,
    quantity TEXT,
    trigger TEXT,
    cycle TEXT,
    operator TEXT,
    guardian TEXT,
    attempt INTEGER NOT NULL,
    market_time INTEGER NOT NULL,
    sent_at INTEGER NOT NULL,
    state TEXT NOT NULL,
    exchange_id TEXT,
    average_price TEXT,
    executed TEXT,
    error TEXT,
    updated_at INTEGER NOT NULL,
    settled_at INTEGER,
    PRIMARY KEY (venue, client_order_id),
    CHECK ((cycle IS NOT NULL) + (operator IS NOT NULL) + (guardian IS NOT NULL) = 1),
    FOREIGN KEY (cycle, account, symbol) REFERENCES decisions (cycle, account, symbol)
) STRICT;
CREATE INDEX orders_by_position ON orders (venue, account, symbol, market_time);
CREATE INDEX orders_by_exchange_id ON orders (venue, account, symbol, exchange_id) WHERE exchange_id IS NOT NULL;
CREATE INDEX orders_unresolved ON orders (venue, state) WHERE state IN ('sent', 'unknown');

CREATE TABLE fills (
    venue TEXT NOT NULL,
    account TEXT NOT NULL,
    symbol TEXT NOT NULL,
    trade_id INTEGER NOT NULL,
    exchange_id TEXT NOT NULL,
    client_order_id TEXT,
    side TEXT NOT NULL,
    price TEXT NOT NULL,
    quantity TEXT NOT NULL,
    commission TEXT NOT NULL,
    commission_asset TEXT NOT NULL,
    realised TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (venue, account, symbol, trade_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX fills_by_time ON fills (venue, account, at);
CREATE INDEX fills_by_order ON fills (venue, account, symbol, exchange_id);

CREATE TABLE ledger (
    venue TEXT NOT NULL,
    account TEXT NOT NULL,
    kind TEXT NOT NULL,
    source_id TEXT NOT NULL,
    amount TEXT NOT NULL,
    asset TEXT NOT NULL,
    symbol TEXT,
    at INTEGER NOT NULL,
    PRIMARY KEY (venue, account, kind, source_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX ledger_by_time ON ledger (venue, account, at);

CREATE TABLE equity (
    venue TEXT NOT NULL,
    account TEXT NOT NULL,
    at INTEGER NOT NULL,
    wallet TEXT NOT NULL,
    equity TEXT NOT NULL,
    PRIMARY KEY (venue, account, at)
) STRICT, WITHOUT ROWID;

-- `seq` begins anew with every start of the desk; `id` does not.
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    cycle TEXT,
    kind TEXT NOT NULL,
    event TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_cycle ON events (cycle) WHERE cycle IS NOT NULL;
