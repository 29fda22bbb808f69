//! In: a recording's path, as the commands that show recordings take it.
//! Out: its reader, after saying on standard error what is wrong with it; faults of single lines, a few in full.
//! Never: refuses to show a damaged recording.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use ampgate_recording::{
    Envelope, Header, Identities, PublicKey, ReadError, Reader, Unsealer, is_session_id,
};
use anyhow::{Context, Result, bail};

use crate::{
    find, text,
    trust::KeyArgs,
    verdict::{self, Status},
};

/// An open recording, wherever its bytes come from: a plain file, or the frames of a sealed one.
pub type Recording = Reader<Box<dyn Read + Send>>;

/// What `--identity` gave. Set once, before the first recording is opened.
static IDENTITIES: OnceLock<Identities> = OnceLock::new();

/// Reads the files of `--identity`.
pub fn use_identities(files: &[PathBuf]) -> Result<()> {
    let mut identities = Identities::default();
    for file in files {
        let name = text::path(file);
        let secret =
            fs::read_to_string(file).with_context(|| format!("cannot read the identity {name}"))?;
        identities.add(&secret).with_context(|| name)?;
    }
    let _ = IDENTITIES.set(identities);
    Ok(())
}

/// The auditor's identities; none if none was given.
pub fn identities() -> &'static Identities {
    IDENTITIES.get_or_init(Identities::default)
}

/// So many faults of lines are told in full.
const TOLD: u64 = 5;

/// Says something on standard error, escaped.
pub fn complain(what: &str) {
    let lines: Vec<_> = what.lines().map(text::safe).collect();
    let _ = writeln!(std::io::stderr(), "ampgate-replay: {}", lines.join("\n"));
}

/// The path of a recording that may have been named by its session's id, which is its name in the store.
pub fn locate(named: &Path, store: &Path) -> Result<PathBuf> {
    let id = named.to_str().filter(|name| is_session_id(name));
    let Some(id) = id.filter(|_| !named.exists()) else {
        return Ok(named.to_owned());
    };
    let mut below = find::below(store).map(|(path, _)| path);
    below
        .find(|path| path.file_stem().is_some_and(|stem| stem == id))
        .with_context(|| {
            format!(
                "no recording of session {id} below {}; name the directory with --store, or the file itself",
                text::path(store)
            )
        })
}

/// The recording on standard input, which may be read more than once then: it lies in a file that has no name and is gone
/// with this program. Keys are read from the terminal instead, if there is one.
pub fn standard_input() -> Result<PathBuf> {
    let mut file = tempfile::tempfile().context("cannot keep what comes on standard input")?;
    let length = io::copy(&mut io::stdin().lock(), &mut file)
        .context("cannot keep what comes on standard input")?;
    if length == 0 {
        bail!(
            "nothing came on standard input: whoever should have sent the recording has said why"
        );
    }
    if let Ok(terminal) = File::open("/dev/tty") {
        rustix::stdio::dup2_stdin(terminal).context("cannot read keys from the terminal")?;
    }
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    // Open as long as the program runs: the path leads to it.
    std::mem::forget(file);
    Ok(path)
}

/// Opens a regular file: a pipe or a device that somebody put there would block or never end.
pub fn open(path: &Path) -> Result<Recording> {
    let name = text::path(path);
    let about = fs::metadata(path).with_context(|| format!("cannot open {name}"))?;
    if !about.is_file() {
        bail!("{name} is no file; name a recording (\"ampgate-replay list DIR\" finds them)");
    }
    let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
    let bytes: Box<dyn Read + Send> = match envelope(path)? {
        None => Box::new(file),
        Some(envelope) if identities().is_empty() => {
            let recipients: Vec<_> = envelope.recipients().map(text::safe).collect();
            bail!(
                "{name} is sealed; give --identity with the key of {}{}",
                match envelope.needed() {
                    1 => String::new(),
                    needed => format!("{needed} of "),
                },
                recipients.join(", ")
            );
        }
        Some(_) => Box::new(Unsealer::open(file, identities()).with_context(|| name.clone())?),
    };
    Reader::open(bytes).with_context(|| name)
}

/// What a sealed recording tells everybody; `None` for a plain one.
pub fn envelope(path: &Path) -> Result<Option<Envelope>> {
    Envelope::of(path).with_context(|| format!("cannot read {}", text::path(path)))
}

/// The header of a recording. Of a sealed one that no identity opens, only session, time and gateway are known.
pub fn header(path: &Path) -> Result<Header> {
    match envelope(path)? {
        Some(envelope) if identities().is_empty() => Ok(Header {
            session: envelope.session().to_owned(),
            channel: None,
            user: "(sealed)".to_owned(),
            source: String::new(),
            target: String::new(),
            amphora: String::new(),
            load_balancer: String::new(),
            load_balancer_name: "(sealed)".to_owned(),
            project: String::new(),
            landing: String::new(),
            action: String::new(),
            command: None,
            cols: 0,
            rows: 0,
            term: None,
            pty: false,
            started: envelope.started(),
            gateway: envelope.gateway().to_owned(),
            host_key: None,
            sealing_key: envelope
                .sealing_key()
                .unwrap_or(PublicKey::from_raw([0; 32])),
        }),
        _ => Ok(open(path)?.header().clone()),
    }
}

/// The state of the recording, and for anything but an intact one the sentence that was said about it.
pub fn examine(path: &Path, keys: &KeyArgs) -> Result<Option<(Status, String)>> {
    let trust = keys.load(path)?;
    let found = trust.verify(path, None).with_context(|| text::path(path))?;
    let (status, sentence) = verdict::judge(&found, trust.is_empty());
    Ok((status != Status::Intact).then_some((status, sentence)))
}

/// [`examine`], said on standard error.
pub fn warn(path: &Path, keys: &KeyArgs) -> Result<()> {
    if let Some((_, sentence)) = examine(path, keys)? {
        complain(&format!("{}: {sentence}", text::path(path)));
    }
    Ok(())
}

/// Counts what could not be read, and tells of it.
#[derive(Default)]
pub struct Faults(u64);

impl Faults {
    /// Takes a fault; the first few are said at once.
    pub fn take(&mut self, path: &Path, fault: &ReadError) {
        self.0 += 1;
        if self.0 <= TOLD {
            complain(&format!("{}: {fault}", text::path(path)));
        }
    }

    /// Says how many more there were.
    pub fn finish(&self, path: &Path) {
        if self.0 > TOLD {
            complain(&format!(
                "{}: {} more faults like these",
                text::path(path),
                self.0 - TOLD
            ));
        }
    }
}
