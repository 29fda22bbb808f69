//! In: the policy, users and inventory files. Out: `Rules`, all of one moment, or every fault of all files together.
//! Never: mixes an old file with a new one.

use std::path::Path;
use std::sync::Arc;

use ampgate_access::{Fault, Policy, Users};
use ampgate_inventory::{Fixed, Inventory};

use crate::config::Config;

/// What decides, as of one reading of the files.
pub struct Rules {
    pub config: Arc<Config>,
    /// What was read, each as `path blake3:HEX`: which rules were in force can be proved later.
    pub files: Vec<String>,
    pub policy: Policy,
    pub users: Users,
    pub inventory: Arc<dyn Inventory>,
}

/// Reads the configuration and the files it names.
///
/// # Errors
/// Every fault of every file that could be read, and a fault for each that could not.
pub fn load(path: &Path) -> Result<Rules, Vec<Fault>> {
    let text = read(path)?;
    let (config, mut faults) = match Config::parse(path, &text) {
        Ok(config) => (config, Vec::new()),
        // The other files are looked at all the same, where they lie by default.
        Err(faults) => match Config::parse(path, "") {
            Ok(defaults) => (defaults, faults),
            Err(_) => return Err(faults),
        },
    };
    let mut files = vec![of_file(path, &text)];
    let policy = gather(&mut faults, &mut files, &config.policy, Policy::parse);
    let users = gather(&mut faults, &mut files, &config.users, Users::parse);
    let inventory = gather(&mut faults, &mut files, &config.inventory, Fixed::parse);
    match (policy, users, inventory) {
        (Some(policy), Some(users), Some(inventory)) if faults.is_empty() => Ok(Rules {
            config: Arc::new(config),
            files,
            policy,
            users,
            inventory: Arc::new(inventory),
        }),
        _ => Err(faults),
    }
}

fn gather<T>(
    faults: &mut Vec<Fault>,
    files: &mut Vec<String>,
    path: &Path,
    parse: impl Fn(&str, &str) -> Result<T, Vec<Fault>>,
) -> Option<T> {
    let outcome = read(path).and_then(|text| {
        files.push(of_file(path, &text));
        parse(&path.display().to_string(), &text)
    });
    match outcome {
        Ok(value) => Some(value),
        Err(found) => {
            faults.extend(found);
            None
        }
    }
}

fn of_file(path: &Path, text: &str) -> String {
    format!(
        "{} blake3:{}",
        path.display(),
        blake3::hash(text.as_bytes())
    )
}

fn read(path: &Path) -> Result<String, Vec<Fault>> {
    std::fs::read_to_string(path).map_err(|error| {
        let help = "make a directory with all files by `ampgate init DIR`, or name another file by --config".to_owned();
        vec![Fault::at(&path.display().to_string(), "", 0..0, format!("cannot be read: {error}"), Some(help))]
    })
}
