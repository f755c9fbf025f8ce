//! The terminal: state, update, views, keymap, theme.
