//! Fork choice.
