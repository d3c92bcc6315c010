//! The rules of the vocabulary, one module per subject.

mod account;
mod certificate;
mod codec;
mod committee;
mod evidence;
mod governance;
mod halt;
mod lockdown;
mod merkle;
mod purposes;
mod transaction;
mod vertex;
mod zip215;
