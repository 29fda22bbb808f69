//! In: this process, before it reads a key.
//! Out: the same process, which leaves no core, cannot be traced by its own user, and is not swapped where that is allowed.
//! Never: goes on if the first two fail.

use crate::error::SignerError;
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};
use rustix::process::{set_dumpable_behavior, set_parent_process_death_signal, setrlimit};

/// Hardens the process. `exit_with_parent`: SIGTERM when the thread that started it ends.
pub(crate) fn harden(exit_with_parent: bool) -> Result<(), SignerError> {
    let system = |doing| {
        move |fault: rustix::io::Errno| SignerError::System {
            doing,
            source: fault.into(),
        }
    };
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(system("make the process undumpable"))?;
    setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    )
    .map_err(system("forbid core files"))?;
    if exit_with_parent {
        set_parent_process_death_signal(Some(Signal::TERM))
            .map_err(system("tie the process to its parent"))?;
    }
    // Needs CAP_IPC_LOCK or a memlock limit above our few megabytes; a unit sets LimitMEMLOCK.
    if let Err(fault) = mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE) {
        tracing::info!(target: "signer", %fault, "memory is not locked: keys may be swapped out; encrypt swap or raise LimitMEMLOCK");
    }
    Ok(())
}
