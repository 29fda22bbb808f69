//! Who may land where: names, users, targets, landings, policy. No I/O; the clock is an argument.
