//! What happened: the hash-chained journal and the session index rebuilt from it.
