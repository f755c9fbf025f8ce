//! World: sources.
