//! World: engine.
