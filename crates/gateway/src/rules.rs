//! In: the policy, users and inventory files. Out: `Rules`, all of one moment, or every fault of all files together.
//! Never: mixes an old file with a new one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ampgate_access::{Fault, Policy, Users};
use ampgate_inventory::{Cloud, Directory, Fixed, Inventory, Joined, Live, Operators};

use crate::config::Config;

/// What decides, as of one reading of the files.
pub struct Rules {
    pub config: Arc<Config>,
    /// What was read, each as `path blake3:HEX`: which rules were in force can be proved later.
    pub files: Vec<String>,
    pub policy: Policy,
    pub users: Users,
    /// Where operators' passwords are checked, if they are.
    pub keystone: Option<Operators>,
    /// Where operators are asked about with the gateway's own credential; once [`Rules::with_octavia`] was called.
    pub directory: Option<Directory>,
    /// The file's amphorae, and Octavia's once [`Rules::with_octavia`] was called.
    pub inventory: Arc<dyn Inventory>,
    fixed: Arc<Fixed>,
}

impl Rules {
    /// With the amphorae that Octavia has, if it is asked, beside those of the file.
    #[must_use]
    pub fn with_octavia(mut self, live: Option<&Arc<Live>>) -> Self {
        if let Some(live) = live {
            let joined = Joined::new(Arc::clone(&self.fixed), Arc::clone(live));
            self.inventory = Arc::new(joined);
            let domain = self
                .config
                .keystone
                .as_ref()
                .map(|k| k.operators.domain.clone());
            self.directory = domain.and_then(|domain| live.directory(domain));
        }
        self
    }

    /// With the amphorae that Octavia had when the gateway last asked: for commands that only look.
    #[must_use]
    pub fn with_last_known(self) -> Self {
        match &self.config.octavia {
            Some(settings) => {
                let file = octavia_file(&self.config);
                let live = Live::last_known(settings.clone(), &file);
                self.with_octavia(Some(&Arc::new(live)))
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

/// Keystone, as operators log in to it. Reads the CA file; asks nobody.
fn operators(config: &Config, path: &Path) -> Result<Option<Operators>, Vec<Fault>> {
    let Some(keystone) = &config.keystone else {
        return Ok(None);
    };
    Operators::new(keystone.operators.clone())
        .map(Some)
        .map_err(|error| {
            let message = format!("[keystone]: {error}");
            vec![Fault::at(
                &path.display().to_string(),
                "",
                0..0,
                message,
                None,
            )]
        })
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
    let policy = gather(&mut faults, &mut files, &config.policy, |file, text| {
        let policy = Policy::parse(file, text)?;
        let fault = speaks_of_nothing(file, text, &config);
        let fault = fault.or_else(|| keeps_in_clear(file, text, &policy, &config));
        fault.map_or(Ok(policy), |fault| Err(vec![fault]))
    });
    let users = gather(&mut faults, &mut files, &config.users, Users::parse);
    let inventory = gather(&mut faults, &mut files, &config.inventory, Fixed::parse);
    let keystone = operators(&config, path)
        .map_err(|found| faults.extend(found))
        .ok()
        .flatten();
    match (policy, users, inventory) {
        (Some(policy), Some(users), Some(inventory)) if faults.is_empty() => {
            let fixed = Arc::new(inventory);
            Ok(Rules {
                config: Arc::new(config),
                files,
                policy,
                users,
                keystone,
                directory: None,
                inventory: Arc::clone(&fixed) as Arc<dyn Inventory>,
                fixed,
            })
        }
        _ => Err(faults),
    }
}

/// A rule about what nobody will ever have: somebody meant something by it.
fn speaks_of_nothing(file: &str, text: &str, config: &Config) -> Option<Fault> {
    let roles = config.keystone.as_ref().map(|k| k.operators.roles);
    let words = match roles {
        None => &["principal.projects", "principal.roles"][..],
        Some(false) => &["principal.roles"],
        Some(true) => return None,
    };
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let code = line.split("//").next().unwrap_or_default();
        for word in words {
            if let Some(at) = code.find(word) {
                let at = start + at;
                let message = format!("nobody has `{word}` here");
                let help = match roles {
                    None => "they come from Keystone: configure [keystone], or remove the rule",
                    Some(_) => "say roles = true in [keystone], or remove the rule",
                };
                let span = at..at + word.len();
                return Some(Fault::at(file, text, span, message, Some(help.to_owned())));
            }
        }
        start += line.len();
    }
    None
}

/// Contents are kept sealed or not at all: the gateway is no place for files that anybody on it can read.
fn keeps_in_clear(file: &str, text: &str, policy: &Policy, config: &Config) -> Option<Fault> {
    policy.keeping()?;
    if config.recording.recipients.is_some() {
        return None;
    }
    let message = "contents are kept sealed or not at all, and recordings here are plain";
    let help = "set `recipients` in [recording], or remove @keep";
    let at = text.find("@keep").unwrap_or_default();
    let span = at..(at + "@keep".len()).min(text.len());
    Some(Fault::at(
        file,
        text,
        span,
        message.to_owned(),
        Some(help.to_owned()),
    ))
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
