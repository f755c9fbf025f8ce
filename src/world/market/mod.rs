//! World: market.
