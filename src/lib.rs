//! switchback.
