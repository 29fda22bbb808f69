//! In: names of programs and amphorae. Out: a bed of real amphorae, real gateways, real clients, and what they did.
//! Never: a mock; what is tested here runs as it does on a controller.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::todo
)]

pub mod amphorae;
pub mod attack;
pub mod bed;
pub mod client;
pub mod cloud;
pub mod disk;
pub mod gateway;
pub mod nova;
pub mod object_store;
pub mod outcome;
pub mod pane;
pub mod seen;
pub mod terminal;
pub mod tls;

pub use amphorae::{A, B, BARE, Entry};
pub use bed::{Bed, bed};
pub use client::{Client, Land, Via};
pub use cloud::{Cloud, FakeOpenstack};
pub use disk::Disk;
pub use gateway::{Gateway, Setup, gateway};
pub use nova::Nova;
pub use object_store::{Api, ObjectStore};
pub use outcome::{Outcome, run, run_for};
pub use pane::Pane;
pub use tls::TlsProxy;
