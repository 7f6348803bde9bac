//! Behaviour the recordings do not cover.
