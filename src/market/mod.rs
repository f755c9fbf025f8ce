//! simsar: the market-data API, its sources, its indicators, and the brief the desk reads before each call.
