//! In: a request with paths, the policy, and the amphora's word on where a path leads. Out: the paths as they may go on.
//! Never: believes the letters of a path alone, or the amphora alone: both must be allowed.

use std::sync::{Mutex, PoisonError};

use ampgate_access::{Action, Grant, Refusal, Why};
use ampgate_transfer::{
    Asked, Command, Direction, Follow, Keep, Named, Need, Place, RsyncCommand, Status, absolute,
    last_of,
};
use jiff::Timestamp;
use russh::{ChannelWriteHalf, client};

use crate::gateway::Gateway;
use crate::live::LiveSession;
use crate::sentence::Trouble;
use crate::story;
use crate::transfer::Transfer;

/// Names that are judged before others have their turn.
const TURN: usize = 64;

/// What does not go on.
pub struct No {
    /// What the client is told.
    pub status: Status,
    /// None where the amphora itself says that it cannot be.
    pub denied: Option<Denied>,
}

/// What the policy does not allow.
pub struct Denied {
    pub action: Action,
    pub written: Vec<u8>,
    pub real: Vec<u8>,
    pub rules: Vec<String>,
}

/// How a request is judged.
struct Judge<'t> {
    transfer: &'t Transfer,
    to_amphora: &'t ChannelWriteHalf<client::Msg>,
    live: &'t LiveSession,
    asked: &'t Asked,
    /// What of the content is to be kept, by what was decided so far.
    keep: Mutex<Keep>,
}

type Verdict<T> = Result<Result<T, No>, Trouble>;

/// Where the request's paths lead, if all of that is allowed, and what is kept of the file that it opens.
pub async fn places(
    transfer: &Transfer,
    asked: &Asked,
    to_amphora: &ChannelWriteHalf<client::Msg>,
    live: &LiveSession,
) -> Verdict<(Vec<Place>, Keep)> {
    let judge = Judge {
        transfer,
        to_amphora,
        live,
        asked,
        keep: Mutex::default(),
    };
    let named = asked.named();
    let mut places: Vec<Option<Place>> = vec![None; named.len()];
    // A link's target is seen from where the link will be: that one first.
    for targets in [false, true] {
        for (n, named) in named.iter().enumerate() {
            if (named.follow == Follow::Target) != targets {
                continue;
            }
            let link = places.iter().flatten().next().cloned();
            let found = match link {
                Some(link) if targets => judge.target(named, &link).await?,
                _ => judge.file(named).await?,
            };
            match (found, places.get_mut(n)) {
                (Ok(place), Some(slot)) => *slot = Some(place),
                (Err(no), _) => return Ok(Err(no)),
                (Ok(_), None) => {}
            }
        }
    }
    let places = places.into_iter().flatten().collect();
    let keep = judge
        .keep
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    Ok(Ok((places, keep)))
}

impl Judge<'_> {
    async fn file(&self, named: &Named<'_>) -> Verdict<Place> {
        if self.asked.is_known() {
            let real = named.path.to_vec();
            return Ok(self.allowed(named, &real).map(|()| place(real)));
        }
        let expands = self.asked.expands();
        let home = match named.path.starts_with(b"/") {
            true => Vec::new(),
            false => match self.transfer.home(self.to_amphora, self.live).await? {
                Ok(home) => home,
                Err(status) => return Ok(Err(impossible(status))),
            },
        };
        // As its letters say: also where a part of it does not exist, or is a link by now.
        let letters = absolute(&home, named.path);
        if let Err(no) = self.allowed(named, &letters) {
            return Ok(Err(no));
        }
        if named.path.is_empty() {
            // It means nothing to OPEN, and the home to REALPATH: the amphora knows.
            return Ok(Ok(Place {
                real: letters,
                sent: Vec::new(),
            }));
        }
        let slash = named.path.ends_with(b"/");
        let real = match (named.follow, last_of(named.path)) {
            (Follow::Last, Some(last)) => {
                let parent = match self.canonical(&last.parent, false).await? {
                    Ok(parent) => parent,
                    Err(status) => return Ok(Err(impossible(status))),
                };
                // With a slash behind it a link is followed.
                if slash
                    && let Ok(whole) = self.canonical(named.path, false).await?
                    && let Err(no) = self.allowed(named, &whole)
                {
                    return Ok(Err(no));
                }
                absolute(&parent, trim(&last.name))
            }
            (Follow::Last, None) if self.asked.takes_names_only() => {
                let message = "ampgate: this is the name of no file".to_owned();
                return Ok(Err(impossible(Status {
                    code: Status::FAILURE,
                    message: message.into_bytes(),
                })));
            }
            _ => match self.canonical(named.path, expands).await? {
                Ok(real) => real,
                Err(status) => return Ok(Err(impossible(status))),
            },
        };
        if let Err(no) = self.allowed(named, &real) {
            return Ok(Err(no));
        }
        let mut sent = real.clone();
        if expands {
            sent = named.path.to_vec();
        } else if slash && !sent.ends_with(b"/") {
            sent.push(b'/');
        }
        Ok(Ok(Place { real, sent }))
    }

    /// What a link will lead to. Its text stays as it is.
    async fn target(&self, named: &Named<'_>, link: &Place) -> Verdict<Place> {
        let directory = last_of(&link.real).map_or_else(|| b"/".to_vec(), |last| last.parent);
        let letters = absolute(&directory, named.path);
        if let Err(no) = self.allowed(named, &letters) {
            return Ok(Err(no));
        }
        // The letters as they stand: `link/..` is not the directory of `link`.
        let mut as_written = directory;
        as_written.push(b'/');
        as_written.extend_from_slice(named.path);
        let whole = match named.path.starts_with(b"/") {
            true => named.path,
            false => &as_written,
        };
        if let Ok(real) = self.canonical(whole, false).await?
            && let Err(no) = self.allowed(named, &real)
        {
            return Ok(Err(no));
        }
        Ok(Ok(Place {
            real: letters,
            sent: named.path.to_vec(),
        }))
    }

    async fn canonical(
        &self,
        path: &[u8],
        expand: bool,
    ) -> Result<Result<Vec<u8>, Status>, Trouble> {
        let transfer = self.transfer;
        transfer
            .canonical(path, expand, self.to_amphora, self.live)
            .await
    }

    fn allowed(&self, named: &Named<'_>, real: &[u8]) -> Result<(), No> {
        let rules = self.transfer.gateway.rules();
        let (policy, grant, now) = (&rules.policy, &self.live.grant, Timestamp::now());
        let path = String::from_utf8_lossy(real);
        for need in named.needs {
            let action = action(*need);
            let decided = policy.decide_file(grant, action, &path, now);
            let decided = decided.and_then(|allowed| match named.moves {
                true => policy.decide_below(grant, &path, now).map(|()| allowed),
                false => Ok(allowed),
            });
            if decided.as_ref().is_ok_and(|allowed| allowed.keeps) {
                let mut keep = self.keep.lock().unwrap_or_else(PoisonError::into_inner);
                keep.read |= *need == Need::Read;
                keep.written |= *need == Need::Write;
            }
            if let Err(refusal) = decided {
                let sentence = format!(
                    "ampgate: the policy does not allow you to {action} {}",
                    path.escape_debug()
                );
                let rules = refusal.rules().iter().map(ToString::to_string);
                return Err(No {
                    status: Status {
                        code: Status::DENIED,
                        message: sentence.into_bytes(),
                    },
                    denied: Some(Denied {
                        action,
                        written: named.path.to_vec(),
                        real: real.to_vec(),
                        rules: rules.chain(refusal.errors().iter().cloned()).collect(),
                    }),
                });
            }
        }
        Ok(())
    }
}

/// Whether an scp of old is read as one. Its paths are for a shell on the amphora, and nobody can ask where they lead: what
/// is out of reach by its letters is an ordinary command, recorded in full, and allowed by `exec` alone.
pub fn scp(gateway: &Gateway, grant: &Grant, command: &Command) -> bool {
    let action = moves(command.direction);
    in_reach(gateway, grant, &command.path, &[action])
}

/// Whether the content of what this scp moves is kept. Only the path of the command is known, not what it leads to: where
/// that may be a directory above, or is relative, more is kept than is asked for rather than less.
pub fn keeps(gateway: &Gateway, grant: &Grant, command: &Command) -> bool {
    let letters = match command.path.starts_with('/') {
        true => absolute(b"/", command.path.as_bytes()),
        false => b"/".to_vec(),
    };
    let path = String::from_utf8_lossy(&letters);
    let (rules, now) = (gateway.rules(), Timestamp::now());
    let action = moves(command.direction);
    rules.policy.keeps_below(grant, action, &path, now)
}

/// The same for an rsync; it removes files too, where it is told to.
pub fn rsync(gateway: &Gateway, grant: &Grant, command: &RsyncCommand) -> bool {
    let mut actions = vec![moves(command.direction)];
    if command.deletes {
        actions.push(Action::Delete);
    }
    in_reach(gateway, grant, &command.path, &actions)
}

/// Below the path of an rsync lie its files, of which a rule may speak without speaking of the path: what it forbids ends
/// the channel before the name, or the wish for the file, goes on. Nobody can know that of a relative path. So does a file
/// whose content is to be kept.
pub async fn named(
    gateway: &Gateway,
    live: &LiveSession,
    command: &RsyncCommand,
    names: Vec<Vec<u8>>,
) -> Result<(), Trouble> {
    let (rules, now) = (gateway.rules(), Timestamp::now());
    let action = moves(command.direction);
    for (n, name) in names.iter().enumerate() {
        // A packet can hold thousands, and others want their turn.
        if n % TURN == TURN - 1 {
            tokio::task::yield_now().await;
        }
        let Some(place) = command.place(name) else {
            continue;
        };
        let path = String::from_utf8_lossy(&place);
        let refusal = match rules.policy.decide_file(&live.grant, action, &path, now) {
            // Of a delta only the amphora could make the whole; a promise that is kept of some transfers is none.
            Ok(allowed) if allowed.keeps => {
                return Err(Trouble::NotOffered(format!(
                    "the policy wants the content of {} kept, which is not done of rsync: move it by sftp or scp",
                    path.escape_debug()
                )));
            }
            Err(refusal) if is_forbidden(&refusal) => refusal,
            _ => continue,
        };
        let by = refusal.rules().iter().map(ToString::to_string);
        let denied = Denied {
            action,
            written: place.clone(),
            real: place.clone(),
            rules: by.chain(refusal.errors().iter().cloned()).collect(),
        };
        story::refused(gateway, live, "rsync", action.as_str(), &denied)?;
        return Err(Trouble::Path {
            action,
            path: path.escape_debug().to_string(),
        });
    }
    Ok(())
}

fn in_reach(gateway: &Gateway, grant: &Grant, path: &str, actions: &[Action]) -> bool {
    if path.split('/').any(|part| part == "..") {
        return false;
    }
    if !path.starts_with('/') {
        return true;
    }
    let letters = absolute(b"/", path.as_bytes());
    let path = String::from_utf8_lossy(&letters);
    let (rules, now) = (gateway.rules(), Timestamp::now());
    let each = actions
        .iter()
        .map(|action| rules.policy.decide_file(grant, *action, &path, now))
        .map(|decided| decided.map(drop));
    let below = rules.policy.decide_below(grant, &path, now);
    each.chain([below])
        .all(|decided| decided.err().is_none_or(|refusal| !is_forbidden(&refusal)))
}

/// Who may exec need not be permitted sftp. What a rule forbids is another matter.
fn is_forbidden(refusal: &Refusal) -> bool {
    refusal.why() != Why::NotPermitted
}

fn moves(direction: Direction) -> Action {
    match direction {
        Direction::FromAmphora => Action::Read,
        Direction::ToAmphora => Action::Write,
    }
}

fn action(need: Need) -> Action {
    match need {
        Need::Read => Action::Read,
        Need::Write => Action::Write,
        Need::List => Action::List,
        Need::Delete => Action::Delete,
    }
}

fn place(real: Vec<u8>) -> Place {
    Place {
        sent: real.clone(),
        real,
    }
}

fn impossible(status: Status) -> No {
    No {
        status,
        denied: None,
    }
}

fn trim(name: &[u8]) -> &[u8] {
    let end = name.iter().rposition(|b| *b != b'/').map_or(0, |at| at + 1);
    name.get(..end).unwrap_or(name)
}
