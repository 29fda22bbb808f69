//! In: the configuration. Out: the gateway, running until it has drained; in front of it, as its parent, the signer.
//! Never: root where strangers talk; the part that listens runs as [process] user, and holds no octavia or sealing key.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the listening line is for people and scripts"
)]

use std::io::IsTerminal as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ampgate_audit::Event;
use anyhow::{Context as _, bail};
use clap::Args;
use nix::unistd::User;
use rustix::process::Signal;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::{Failure, Outcome, load};
use crate::config::{Config, Log};
use crate::gateway::Gateway;
use crate::listen::{self, Workers};
use crate::rules::{self, Rules};
use crate::sentence::Trouble;
use crate::{anchor, control, keeping, people, reserve, screens};

/// How often the two processes are looked after.
const LOOK: Duration = Duration::from_millis(200);
/// A signer that dies is started again after this, and after twice as long each time it dies again.
const RESTART: Duration = Duration::from_millis(500);
const RESTART_AT_MOST: Duration = Duration::from_secs(30);
/// The gateway waits this long for its signer's socket.
const SIGNER_START: Duration = Duration::from_secs(10);

#[derive(Args)]
#[command(
    after_help = "Signals: SIGTERM drains and ends, SIGHUP reads configuration, policy, users and inventory again."
)]
pub struct Serve {
    /// Only the gateway itself: its parent keeps the signer.
    #[arg(long, hide = true)]
    relay: bool,
}

impl Serve {
    pub fn run(self, path: &Path) -> Outcome {
        // Faults are told here, before any process or socket; exit status 64.
        let rules = load(path)?;
        start_log(&rules.config.log)?;
        if self.relay || !rules.config.signer.start {
            may_listen(&rules.config)?;
            // As the user that will read it.
            rules::credential(&rules.config, path).map_err(Failure::Faults)?;
            return relay(path, rules).map_err(Failure::Other);
        }
        supervise(path, &rules.config).map_err(Failure::Other)
    }
}

pub fn start_log(log: &Log) -> anyhow::Result<()> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(&log.level)?)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    if log.json {
        builder.json().init()
    } else {
        builder.init()
    }
    Ok(())
}

/// The process which talks to strangers is not root.
fn may_listen(config: &Config) -> anyhow::Result<()> {
    if rustix::process::geteuid().is_root() {
        bail!(
            "the gateway does not run as root; name a user in [process] user, or start it as one ({} is the configuration's gateway)",
            config.name
        );
    }
    Ok(())
}

/// Keeps both processes: the signer is started again when it dies, the gateway's end is the end.
fn supervise(path: &Path, config: &Config) -> anyhow::Result<()> {
    let root = rustix::process::geteuid().is_root();
    if root && (config.process.user.is_none() || config.process.signer_user.is_none()) {
        bail!(
            "started by root, the gateway needs other users to run as; set user and signer_user in [process] (`ampgate init --help` shows how to make them)"
        );
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut term = signal(SignalKind::terminate())?;
        let mut int = signal(SignalKind::interrupt())?;
        let mut hup = signal(SignalKind::hangup())?;
        let start_signer = || start(path, &["signer"], config.process.signer_user.as_deref(), config);
        let mut signer = start_signer()?;
        let mut relay = start(path, &["serve", "--relay"], config.process.user.as_deref(), config)?;
        let mut tick = tokio::time::interval(LOOK);
        let (mut pause, mut again, mut since) = (RESTART, None, Instant::now());
        loop {
            tokio::select! {
                _ = term.recv() => send(&relay, Signal::TERM),
                _ = int.recv() => send(&relay, Signal::TERM),
                _ = hup.recv() => {
                    // A new key ring needs a new signer; nobody who is in notices, and who comes waits a moment. With
                    // faulty files the old one goes on, as everything does.
                    if rules::load(path).is_ok() {
                        stop(&mut signer).await;
                        again = Some(Instant::now());
                    }
                    send(&relay, Signal::HUP);
                }
                _ = tick.tick() => {
                    if let Some(status) = relay.try_wait()? {
                        stop(&mut signer).await;
                        return ended(status);
                    }
                    match (signer.try_wait()?, again) {
                        (None, _) if since.elapsed() > RESTART_AT_MOST => pause = RESTART,
                        (None, _) => {}
                        (Some(status), None) => {
                            tracing::error!(%status, "the signer ended; it is started again in {pause:?}");
                            again = Some(Instant::now() + pause);
                            pause = (pause * 2).min(RESTART_AT_MOST);
                        }
                        (Some(_), Some(at)) if at <= Instant::now() => {
                            match start_signer() {
                                Ok(child) => (signer, since, again) = (child, Instant::now(), None),
                                // Sessions go on without a signer; what ends is the coming in.
                                Err(error) => {
                                    tracing::error!(%error, "the signer cannot be started; tried again in {pause:?}");
                                    again = Some(Instant::now() + pause);
                                    pause = (pause * 2).min(RESTART_AT_MOST);
                                }
                            }
                        }
                        (Some(_), Some(_)) => {}
                    }
                }
            }
        }
    })
}

fn ended(status: ExitStatus) -> anyhow::Result<()> {
    if status.success() {
        Ok(())
    } else {
        bail!("the gateway ended: {status}")
    }
}

/// Asks a child to end, and ends it where it does not.
async fn stop(child: &mut Child) {
    send(child, Signal::TERM);
    let until = Instant::now() + Duration::from_secs(2);
    while matches!(child.try_wait(), Ok(None)) && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let _ = child.kill();
    let _ = child.wait();
}

fn send(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // A child that is gone is seen by the next look.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Starts this program again as one of the two processes, as the user that it shall be.
fn start(
    path: &Path,
    arguments: &[&str],
    user: Option<&str>,
    config: &Config,
) -> anyhow::Result<Child> {
    // The very program that runs, also after an upgrade has put another one in its place.
    let mut command = Command::new("/proc/self/exe");
    command.arg0("ampgate");
    command.arg("--config").arg(path).args(arguments);
    if rustix::process::geteuid().is_root() {
        // Both in the gateway's group: its members may enter the directory of the signer's socket. With uid and gid set,
        // the standard library also drops root's other groups.
        let group = named(config.process.user.as_deref())?.gid;
        command.uid(named(user)?.uid.as_raw()).gid(group.as_raw());
    }
    command.env_remove("SSH_AUTH_SOCK");
    // Ctrl-C is the parent's: the signer has to outlive the sessions that it still seals.
    command.process_group(0);
    command
        .spawn()
        .with_context(|| format!("ampgate {} cannot be started", arguments.join(" ")))
}

/// Started by root, runs a command as the gateway's user instead, so that what it writes is the gateway's. True if so.
pub fn as_the_gateway(path: &Path, arguments: &[&str], config: &Config) -> anyhow::Result<bool> {
    if !rustix::process::geteuid().is_root() || config.process.user.is_none() {
        return Ok(false);
    }
    let status = start(path, arguments, config.process.user.as_deref(), config)?.wait()?;
    if status.success() {
        Ok(true)
    } else {
        bail!("it ended with {status}")
    }
}

/// Started by root, becomes this command as the gateway's user: the same process, so that whoever watches it still does.
pub fn become_the_gateway(path: &Path, arguments: &[&str], config: &Config) -> anyhow::Result<()> {
    use std::os::unix::process::CommandExt as _;
    if !rustix::process::geteuid().is_root() || config.process.user.is_none() {
        return Ok(());
    }
    let user = named(config.process.user.as_deref())?;
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("ampgate")
        .arg("--config")
        .arg(path)
        .args(arguments);
    command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    Err(command.exec()).context("it cannot become the gateway's user")
}

fn named(user: Option<&str>) -> anyhow::Result<User> {
    let name = user.context("[process] names no user")?;
    User::from_name(name)?.with_context(|| format!("[process]: there is no user {name}"))
}

/// The gateway itself.
fn relay(path: &Path, rules: Rules) -> anyhow::Result<()> {
    // When the parent is killed, nothing may go on without its signer.
    if rules.config.signer.start {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    }
    harden()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(path, rules))
}

/// No core dumps, no ptrace by the same user; as many files as the system allows.
pub(super) fn harden() -> anyhow::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    )?;
    let files = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: files.maximum,
            maximum: files.maximum,
        },
    )?;
    Ok(())
}

async fn serve(path: &Path, rules: Rules) -> anyhow::Result<()> {
    if cfg!(bench_unrecorded) {
        tracing::warn!("this build records nothing: it is the bench's, and no gateway");
    }
    let config = Arc::clone(&rules.config);
    wait_for(&config.signer.socket).await;
    let gateway = Gateway::open(path, rules).await?;
    let mut listeners = Vec::new();
    for address in &config.listen {
        listeners.push(
            TcpListener::bind(address)
                .await
                .with_context(|| format!("cannot listen on {address}"))?,
        );
    }
    let control = control::bind(&config.control.socket).with_context(|| {
        format!(
            "the control socket {} cannot be made",
            config.control.socket.display()
        )
    })?;
    let workers = Arc::new(Workers::start(&gateway)?);
    let stop = Arc::new(AtomicBool::new(false));
    let syncing = keeping::sync(Arc::clone(&gateway), Arc::clone(&stop))?;
    let drawing = screens::keep(Arc::clone(&gateway), Arc::clone(&stop))?;
    tokio::spawn(keeping::close_frames(Arc::clone(&gateway)));
    tokio::spawn(keeping::prove(Arc::clone(&gateway)));
    tokio::spawn(keeping::review(Arc::clone(&gateway)));
    tokio::spawn(keeping::watch_inventory(Arc::clone(&gateway)));
    tokio::spawn(reserve::watch(Arc::clone(&gateway)));
    tokio::spawn(people::recheck(Arc::clone(&gateway)));
    tokio::spawn(keeping::seal_journal(Arc::clone(&gateway)));
    tokio::spawn(anchor::keep(Arc::clone(&gateway)));
    tokio::spawn(control::serve(Arc::clone(&gateway), control));
    gateway.journal(
        None,
        Event::GatewayStarted {
            version: env!("CARGO_PKG_VERSION").into(),
            gateway: config.name.as_str().into(),
            pid: std::process::id(),
            listen: config.listen.iter().map(|a| a.to_string().into()).collect(),
            config: effective(&config),
        },
    );
    gateway.signer_started().await;
    let accepting: Vec<_> = listeners
        .into_iter()
        .map(|listener| {
            if let Ok(address) = listener.local_addr() {
                println!("ampgate: listening on {address}");
            }
            tokio::spawn(listen::accept(
                Arc::clone(&gateway),
                Arc::clone(&workers),
                listener,
            ))
        })
        .collect();
    signals(&gateway).await?;
    for task in accepting {
        task.abort();
    }
    let cut = drain(&gateway).await;
    gateway.journal(
        None,
        Event::GatewayStopped {
            reason: "SIGTERM".into(),
            sessions_cut: cut,
        },
    );
    let _ = gateway.seal_journal().await;
    stop.store(true, Ordering::Release);
    let _ = tokio::task::spawn_blocking(move || (syncing.join(), drawing.join())).await;
    gateway.finish_index();
    let _ = std::fs::remove_file(&config.control.socket);
    Ok(())
}

/// The signer is started at the same moment; its socket comes a moment later.
async fn wait_for(socket: &Path) {
    let deadline = Instant::now() + SIGNER_START;
    while tokio::net::UnixStream::connect(socket).await.is_err() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Reloads at SIGHUP; returns at SIGTERM.
async fn signals(gateway: &Arc<Gateway>) -> anyhow::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut hup = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = term.recv() => return Ok(()),
            _ = int.recv() => return Ok(()),
            _ = hup.recv() => reload(gateway).await,
        }
    }
}

/// Which configuration is in force: BLAKE3 of what `ampgate check` prints of it.
fn effective(config: &Config) -> ampgate_audit::Text {
    blake3::hash(config.to_toml().as_bytes()).to_string().into()
}

/// All files anew, or none of them.
async fn reload(gateway: &Arc<Gateway>) {
    match rules::load(&gateway.config_path) {
        Ok(mut rules) => {
            let (config, waiting) = rules.config.after_reload(&gateway.config());
            if !waiting.is_empty() {
                tracing::warn!("in force after a restart: {}", waiting.join(", "));
            }
            let config = Arc::new(config);
            let files = rules
                .files
                .iter()
                .map(|file| file.as_str().into())
                .collect();
            rules.config = Arc::clone(&config);
            gateway.replace_rules(rules);
            if let Some(octavia) = &gateway.octavia {
                octavia.hurry();
            }
            let revoked = keeping::review_now(gateway).await;
            tracing::info!(revoked, "reloaded");
            gateway.journal(
                None,
                Event::ConfigReloaded {
                    by: "SIGHUP".into(),
                    files,
                    config: effective(&config),
                    revoked: revoked as u64,
                },
            );
        }
        Err(faults) => {
            for fault in &faults {
                tracing::error!("not reloaded, the old version stays in force: {fault}");
            }
            gateway.journal(
                None,
                Event::ConfigRefused {
                    by: "SIGHUP".into(),
                    faults: faults.iter().map(|f| f.to_string().into()).collect(),
                },
            );
        }
    }
}

/// No new sessions; the running ones have until the deadline. Returns how many it cut.
async fn drain(gateway: &Arc<Gateway>) -> u64 {
    let deadline = gateway.config().limits.drain;
    gateway.drain();
    gateway.journal(
        None,
        Event::GatewayDraining {
            sessions: gateway.sessions.count() as u64,
            deadline_seconds: deadline.as_secs(),
        },
    );
    let until = Instant::now() + deadline;
    for live in gateway.sessions.all() {
        live.announce(&format!(
            "the gateway is shutting down; this session ends in {} s",
            deadline.as_secs()
        ));
    }
    while gateway.sessions.count() > 0 && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let rest = gateway.sessions.all();
    for live in &rest {
        live.end(Trouble::Revoked("the gateway is shutting down".to_owned()));
    }
    // Whoever looks at what others do sees that it is over within two seconds.
    let cut_off = Instant::now() + Duration::from_secs(5);
    while gateway.sessions.count() + gateway.looking() > 0 && Instant::now() < cut_off {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    rest.len() as u64
}
