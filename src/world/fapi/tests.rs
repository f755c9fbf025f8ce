//! The face, request by request.
