//! In: journal and recordings. Out: a new session index in the place of the old one.
//! Never: touches what it reads.
#![allow(clippy::print_stdout, reason = "a command line talks on stdout")]

use std::path::Path;

use super::{Outcome, count, load_config};

pub fn run(path: &Path) -> Outcome {
    let config = load_config(path)?;
    let state = &config.state;
    if super::serve::as_the_gateway(path, &["reindex"], &config)? {
        return Ok(());
    }
    let done = ampgate_audit::reindex(
        &state.join("journal"),
        &config.recording.directory,
        &state.join("index"),
    )?;
    println!(
        "{} from {} journal lines, and {} that only their recordings tell of",
        count(usize::try_from(done.sessions)?, "session"),
        done.lines,
        done.unjournalled
    );
    Ok(())
}
