//! The model's wire: Messages API client, event stream, cost.
