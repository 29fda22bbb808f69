//! In: the policy, users and inventory files. Out: `Rules`, all of one moment, or every fault of all files together.
//! Never: mixes an old file with a new one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ampgate_access::{Fault, Policy, Users};
use ampgate_inventory::{Cloud, Fixed, Inventory, Joined, Live};

use crate::config::Config;

/// What decides, as of one reading of the files.
pub struct Rules {
    pub config: Arc<Config>,
    /// What was read, each as `path blake3:HEX`: which rules were in force can be proved later.
    pub files: Vec<String>,
    pub policy: Policy,
    pub users: Users,
    /// The file's amphorae, and Octavia's once [`Rules::with_octavia`] was called.
    pub inventory: Arc<dyn Inventory>,
    fixed: Arc<Fixed>,
}

impl Rules {
    /// With the amphorae that Octavia has, beside those of the file.
    #[must_use]
    pub fn with_octavia(mut self, live: Arc<Live>) -> Self {
        self.inventory = Arc::new(Joined::new(Arc::clone(&self.fixed), live));
        self
    }

    /// With the amphorae that Octavia had when the gateway last asked: for commands that only look.
    #[must_use]
    pub fn with_last_known(self) -> Self {
        match &self.config.octavia {
            Some(settings) => {
                let file = octavia_file(&self.config);
                let live = Live::last_known(settings.clone(), &file);
                self.with_octavia(Arc::new(live))
            }
            None => self,
        }
    }
}

/// Where Octavia's last answer is kept.
pub fn octavia_file(config: &Config) -> PathBuf {
    config.state.join("octavia.inventory")
}

/// What is wrong with the gateway's own credential, if Octavia is to be asked. Reads files; asks nobody.
///
/// # Errors
/// Every fault.
pub fn credential(config: &Config, path: &Path) -> Result<(), Vec<Fault>> {
    let Some(settings) = &config.octavia else {
        return Ok(());
    };
    let fault = |why: String| {
        let message = format!("[inventory.octavia]: {why}");
        Fault::at(&path.display().to_string(), "", 0..0, message, None)
    };
    Cloud::load(&settings.source)
        .map(|_| ())
        .map_err(|faults| faults.into_iter().map(fault).collect())
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
        (Some(policy), Some(users), Some(inventory)) if faults.is_empty() => {
            let fixed = Arc::new(inventory);
            Ok(Rules {
                config: Arc::new(config),
                files,
                policy,
                users,
                inventory: Arc::clone(&fixed) as Arc<dyn Inventory>,
                fixed,
            })
        }
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
