//! JSON Schemas as text for people.
