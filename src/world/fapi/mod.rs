//! World: fapi.
