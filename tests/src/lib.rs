//! The test bed: real amphorae, a real gateway, real clients.
