//! Reaches an internal Git host for a gateway, and nothing else.
#![forbid(unsafe_code)]
