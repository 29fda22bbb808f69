//! In: files and keys as people write them.
//! Out: what `access` promises about users, names, policy and the examples in `config/`, as tables.
//! Never: a clock or a network.

mod decide;
mod examples;
mod files;
mod oversight;
mod policy;
mod targets;
mod users;
mod world;
