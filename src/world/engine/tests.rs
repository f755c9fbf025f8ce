//! The engine's behaviour, in sentences.
