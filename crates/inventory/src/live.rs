//! In: Octavia, and the file with its last answer.
//! Out: the amphorae there are, without asking; asked for behind everybody's back, and once for a name that is not known.
//! Never: a look-up that waits for the list, or an old list that serves for longer than it may.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ampgate_access::{Amphora, AmphoraId, TargetName, UpstreamAddr};
use async_trait::async_trait;
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;
use uuid::Uuid;

use crate::asking::Asking;
use crate::cache;
use crate::condition::Condition;
use crate::console::{self, Console, Silence};
use crate::health::Health;
use crate::join::join;
use crate::keystone::Keystone;
use crate::meaning::meaning;
use crate::nova::Nova;
use crate::refresh;
use crate::settings::Settings;
use crate::view::View;
use crate::{Directory, Domain, Inventory, InventoryError, Known, Resolution};

/// An operator waits at most this long for a name that is not known to be asked for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Questions that wait to be asked.
const QUEUE: usize = 64;

/// Names of projects by id.
pub(crate) type Projects = BTreeMap<String, String>;

/// The inventory of Octavia.
pub struct Live {
    shared: Arc<Shared>,
    /// None for programs that only look.
    nova: Option<Nova>,
    keystone: Option<Arc<Keystone>>,
    tasks: Vec<AbortHandle>,
}

/// What the tasks behind write and look-ups read.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) file: PathBuf,
    view: RwLock<Arc<View>>,
    health: Mutex<Health>,
    /// Names of projects by id, as they were last read: policy may speak of them, so a single look-up has the same as the list.
    projects: RwLock<Arc<Projects>>,
    asking: Asking,
    pub(crate) hurry: Notify,
}

impl Live {
    /// What the file says, and nothing else: for programs that only look. Reads the file.
    pub fn last_known(settings: Settings, file: &Path) -> Self {
        // Nobody takes the questions, so none is asked.
        let (queue, _) = mpsc::channel(1);
        Self {
            shared: Arc::new(Shared::new(settings, file, queue)),
            nova: None,
            keystone: None,
            tasks: Vec::new(),
        }
    }

    /// Begins with what the file says, and asks Octavia from now on, on this runtime. Reads the file.
    ///
    /// Needs a tokio runtime with time and I/O; look-ups may come from others.
    pub fn start(settings: Settings, file: &Path) -> Self {
        let (queue, questions) = mpsc::channel(QUEUE);
        // One token for Octavia and Nova.
        let keystone = Arc::new(Keystone::new(settings.clone()));
        let shared = Arc::new(Shared::new(settings, file, queue));
        let tasks = refresh::start(&shared, Arc::clone(&keystone), questions);
        Self {
            shared,
            nova: Some(Nova::new(Arc::clone(&keystone))),
            keystone: Some(keystone),
            tasks,
        }
    }

    /// What the console of this amphora's server says of its host keys, asked of Nova now.
    pub async fn console(&self, amphora: &Amphora, patience: Duration) -> Console {
        let Some(nova) = &self.nova else {
            return Console::Silent(Silence::NotAsked);
        };
        // An entry of the file need not name the server; Octavia does.
        let listed = || self.is_listed(&amphora.id)?.compute_id.clone();
        let server = amphora.compute_id.clone().or_else(listed);
        let server = server.and_then(|id| Uuid::try_parse(&id).ok());
        let Some(server) = server else {
            return Console::Silent(Silence::NoServer);
        };
        match nova.console(server, patience).await {
            Ok(text) => console::read(&text, &amphora.id),
            Err(silence) => Console::Silent(silence),
        }
    }

    /// The operators of a domain, asked about with the same credential. None for programs that only look.
    pub fn directory(&self, domain: Domain) -> Option<Directory> {
        let keystone = self.keystone.clone()?;
        Some(Directory::new(keystone, domain))
    }

    /// Asks for the list now, whatever was to be waited for: after a change of the credential, say.
    pub fn hurry(&self) {
        self.shared.hurry.notify_one();
    }

    /// How it is asked.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    pub(crate) fn at_address(&self, address: UpstreamAddr) -> Vec<Arc<Amphora>> {
        self.shared.view().at_address(address)
    }

    pub(crate) fn is_listed(&self, id: &AmphoraId) -> Option<Arc<Amphora>> {
        self.shared.view().by_id(id).cloned()
    }

    /// Every amphora that a name could mean, as far as is known without asking.
    pub(crate) fn candidates(&self, name: &TargetName) -> Vec<Arc<Amphora>> {
        match self.shared.counts() {
            Ok(()) => self.shared.view().candidates(name),
            Err(_) => Vec::new(),
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Shared {
    fn new(settings: Settings, file: &Path, queue: mpsc::Sender<crate::asking::Question>) -> Self {
        let asking = Asking::new(queue, settings.ask_again);
        let (mut view, mut health) = (View::default(), Health::new(None, None));
        let mut projects = Arc::default();
        match cache::read(file) {
            Ok(None) => {}
            Ok(Some(saved)) => {
                let (amphorae, unusable) = join(&saved.rows, &settings);
                view = view.with_list(Known::new(amphorae), Instant::now());
                health = Health::new(Some(saved.age), None);
                health.of_file(unusable);
                projects = Arc::new(saved.rows.projects);
            }
            Err(why) => {
                tracing::warn!("{why}");
                health = Health::new(None, Some(why));
            }
        }
        Self {
            settings,
            file: file.to_owned(),
            view: RwLock::new(Arc::new(view)),
            health: Mutex::new(health),
            projects: RwLock::new(projects),
            asking,
            hurry: Notify::new(),
        }
    }

    pub(crate) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn projects(&self) -> Arc<Projects> {
        Arc::clone(&self.projects.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn learn(&self, projects: Projects) {
        let mut known = self
            .projects
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *known = Arc::new(projects);
    }

    /// Puts another view in the place of this one.
    pub(crate) fn change(&self, change: impl FnOnce(&View) -> View) {
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        *view = Arc::new(change(&view));
    }

    pub(crate) fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counts(&self) -> Result<(), InventoryError> {
        let too_old = self.health().too_old(&self.settings);
        too_old.map_or(Ok(()), |why| Err(InventoryError::Unavailable(why)))
    }

    /// Asks for a name, unless Octavia is known not to answer: the list's next try will tell when it does again.
    async fn ask(&self, name: &TargetName) {
        if !self.health().is_down() {
            self.asking.ask(name, PATIENCE).await;
        }
    }

    fn known(&self, name: &TargetName) -> Result<Resolution, InventoryError> {
        match (meaning(name, self.view().candidates(name)), self.counts()) {
            // What was asked for just now is an answer, whether or not there was ever a list.
            (found, Ok(())) => Ok(found),
            (Resolution::None, Err(error)) => Err(error),
            (found, Err(error)) => match self.health().age() {
                None => Ok(found),
                Some(_) => Err(error),
            },
        }
    }
}

#[async_trait]
impl Inventory for Live {
    async fn resolve(&self, name: &TargetName) -> Result<Resolution, InventoryError> {
        match self.shared.known(name) {
            Ok(found) if found != Resolution::None => Ok(found),
            _ => self.resolve_anew(name).await,
        }
    }

    async fn resolve_anew(&self, name: &TargetName) -> Result<Resolution, InventoryError> {
        self.shared.ask(name).await;
        self.shared.known(name)
    }

    async fn by_id(&self, id: &AmphoraId) -> Result<Option<Arc<Amphora>>, InventoryError> {
        let found = self.shared.view().by_id(id).cloned();
        match self.shared.counts() {
            Ok(()) => Ok(found),
            Err(_) if found.is_some() && self.age().is_none() => Ok(found),
            Err(error) => Err(error),
        }
    }

    async fn all(&self) -> Result<Vec<Arc<Amphora>>, InventoryError> {
        self.shared.counts()?;
        Ok(self.shared.view().all())
    }

    fn age(&self) -> Option<Duration> {
        self.shared.health().age()
    }

    async fn condition(&self) -> Condition {
        let amphorae = self.shared.view().len();
        self.shared
            .health()
            .condition(&self.shared.settings, amphorae)
    }
}
