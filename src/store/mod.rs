//! SQLite: what happened and why, written before the next step starts.
