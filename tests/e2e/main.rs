//! In: the programs of this project, OpenSSH, other vendors' clients, real amphorae. Out: what they do together.
//! Never: an assertion about how fast something was.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod active;
mod admin;
mod anchors;
mod archive;
mod attacks;
mod cloud_faults;
mod doctor;
mod evidence;
mod faults;
mod fidelity;
mod hostkeys;
mod kept;
mod keyring;
mod keystone;
mod mariadb;
mod openstack;
mod own_ca;
mod reach;
mod replay;
mod sealed;
mod transfers;
mod walk;
mod watch;
