//! In:    russh as the project builds it (with patches/russh, or stock to see the tests fail).
//! Out:   a server and a client in one process, and a peer that breaks rules on purpose.
//! Never: the gateway; its own loop tests live with it.
