//! World: analyst.
