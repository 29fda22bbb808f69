//! In: what the shipper did; what admins want of single recordings. Out: both in the journal, the orders where the shipper reads them.
//! Never: an order without who and why; news from anybody but root and the gateway's own user.

use std::path::Path;

use ampgate_access::SessionId;
use ampgate_archive::{Deletion, News, Orders, Said};
use ampgate_audit::{Event, Segment, contents};
use ampgate_recording::session_millis;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Answer, is_own, name_of};
use crate::config::Archive;
use crate::gateway::Gateway;

/// What may be wanted of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    Hold,
    Release,
    Delete,
    Approve,
}

/// Each of the shipper's news as an event.
pub fn write_down(gateway: &Gateway, uid: u32, news: Vec<News>) -> Answer {
    if !is_own(uid) {
        gateway.journal(
            None,
            Event::ControlRefused {
                uid,
                request: "archive news".into(),
                reason: "neither root nor the gateway's own user".into(),
            },
        );
        return Answer::Error {
            text: "only the archive's own process tells what it did".to_owned(),
        };
    }
    for one in news {
        let (session, event) = event_of(one);
        gateway.journal(session, event);
    }
    match gateway.writes_journal() {
        true => Answer::Done {
            text: "written down".to_owned(),
        },
        false => Answer::Error {
            text: "the journal cannot be written".to_owned(),
        },
    }
}

fn event_of(news: News) -> (Option<SessionId>, Event) {
    let name = match &news {
        News::Shipped { name, .. }
        | News::LocalRemoved { name, .. }
        | News::Deleted { name, .. } => Some(name),
        News::Failed { name, .. } => name.as_ref(),
        News::Resumed { .. } => None,
    };
    let session = name.and_then(|key| SessionId::parse(key.session()?).ok());
    let event = match news {
        News::Shipped {
            name,
            size,
            sha256,
            ended,
        } => Event::ArchiveShipped {
            name: name.to_string().into(),
            bytes: size,
            sha256: sha256.to_string().into(),
            ended: match ended {
                ampgate_archive::Ended::Sealed => "sealed",
                ampgate_archive::Ended::Unsealed => "unsealed",
                ampgate_archive::Ended::Rolled => "rolled",
            }
            .into(),
        },
        News::Failed { name, why } => Event::ArchiveFailed {
            name: name.map(|key| key.to_string().into()),
            reason: why.into(),
        },
        News::Resumed { failures } => Event::ArchiveResumed {
            failures: u64::from(failures),
        },
        News::LocalRemoved { name, sha256 } => Event::ArchiveRemoved {
            name: name.to_string().into(),
            sha256: sha256.to_string().into(),
        },
        News::Deleted { name, why } => Event::ArchiveDeleted {
            name: name.to_string().into(),
            reason: why.into(),
        },
    };
    (session, event)
}

/// Writes an order down, for the journal first and then for the shipper.
pub async fn order(
    gateway: &Gateway,
    uid: u32,
    order: Order,
    session: &str,
    reason: String,
) -> Answer {
    let error = |text: String| Answer::Error { text };
    let Ok(id) = SessionId::parse(session) else {
        return error(super::no_such(session));
    };
    let config = gateway.config();
    let Some(archive) = &config.archive else {
        return error(
            "there is no [archive] in the configuration: nothing removes recordings".to_owned(),
        );
    };
    let said = Said {
        uid,
        by: name_of(uid),
        reason,
        when: Timestamp::now(),
    };
    let orders = Orders::new(&config.state.join("archive"));
    let decided = match decide(archive, &orders, order, session, said) {
        Ok(decided) => decided,
        Err(why) => return error(why),
    };
    gateway.journal(Some(id), decided.event);
    // It waits for the disk; those who ask on this socket may wait for it, sessions may not.
    let session = session.to_owned();
    let journal = config.state.join("journal");
    let written = tokio::task::spawn_blocking(move || {
        let write = |id: &str| (decided.write)(&orders, id).map_err(|fault| fault.to_string());
        // The session's own first: what happens to the others must not stand in its way.
        write(&session)?;
        let of_contents = match order {
            Order::Hold | Order::Release => contents_of(&journal, id).and_then(|all| {
                all.iter().try_for_each(|one| write(one))?;
                Ok(all.len())
            }),
            Order::Delete | Order::Approve => Ok(0),
        };
        match of_contents {
            Ok(0) => Ok(decided.text),
            Ok(n) => Ok(format!(
                "{}; the same goes for the kept contents of its files: {n}",
                decided.text
            )),
            Err(why) => Err(format!(
                "{}; but it did not reach the kept contents of its files, try again: {why}",
                decided.text
            )),
        }
    })
    .await;
    match written {
        Ok(Ok(text)) => Answer::Done { text },
        Ok(Err(why)) => error(why),
        Err(_) => error("the order could not be written".to_owned()),
    }
}

/// The recordings of what the session's transfers moved. They were begun while it went on.
fn contents_of(journal: &Path, session: SessionId) -> Result<Vec<String>, String> {
    let session = session.to_string();
    let began = session_millis(&session).and_then(|millis| i64::try_from(millis).ok());
    let began = began.and_then(|millis| Timestamp::from_millisecond(millis).ok());
    let all = contents(journal, began.map(Segment::of)).map_err(|fault| fault.to_string())?;
    let its = all.into_iter().filter(|(_, of)| *of == session);
    Ok(its.map(|(id, _)| id).collect())
}

/// A content of a session that is held already is held from its first byte on.
pub async fn hold_too(gateway: &Gateway, of: SessionId, content: SessionId) {
    let config = gateway.config();
    if config.archive.is_none() {
        return;
    }
    let orders = Orders::new(&config.state.join("archive"));
    let held = tokio::task::spawn_blocking(move || match orders.holds()?.get(&of.to_string()) {
        Some(said) => orders.hold(&content.to_string(), said),
        None => Ok(()),
    });
    if let Ok(Err(fault)) = held.await {
        tracing::error!(session = %of, %content, "the hold of a session does not reach a content of its files: {fault}");
    }
}

type Write = Box<dyn Fn(&Orders, &str) -> Result<(), ampgate_archive::ArchiveError> + Send>;

struct Decided {
    event: Event,
    text: String,
    write: Write,
}

fn decide(
    archive: &Archive,
    orders: &Orders,
    order: Order,
    session: &str,
    said: Said,
) -> Result<Decided, String> {
    let (uid, by, reason) = (
        said.uid,
        said.by.as_str().into(),
        said.reason.as_str().into(),
    );
    let fault = |error: ampgate_archive::ArchiveError| error.to_string();
    if matches!(order, Order::Delete | Order::Approve) {
        if archive.locked() {
            return Err(
                "object_lock: the store lets nothing go before its retention ends".to_owned(),
            );
        }
        if orders.holds().map_err(fault)?.contains_key(session) {
            return Err(format!(
                "{session} is held; `ampgate archive release` first"
            ));
        }
    }
    Ok(match order {
        Order::Hold => Decided {
            event: Event::ArchiveHeld { uid, by, reason },
            text: format!("{session} is held: nothing is removed of it"),
            write: Box::new(move |orders, session| orders.hold(session, &said)),
        },
        Order::Release => Decided {
            event: Event::ArchiveReleased { uid, by, reason },
            text: format!("{session} is held no more"),
            write: Box::new(move |orders, session| orders.release(session, &said)),
        },
        Order::Delete => {
            if orders.deletions().map_err(fault)?.contains_key(session) {
                return Err(format!(
                    "the deletion of {session} was asked for already; `ampgate archive approve`"
                ));
            }
            let asked = Deletion {
                asked: said.clone(),
                approved: None,
            };
            let (deletion, text) = match archive.two_person {
                true => (
                    asked,
                    format!(
                        "asked for; another admin runs  ampgate archive approve {session} --reason …"
                    ),
                ),
                false => (
                    asked.approve(said, false)?,
                    format!("{session} will be deleted"),
                ),
            };
            Decided {
                event: Event::DeletionAsked { uid, by, reason },
                text,
                write: Box::new(move |orders, session| orders.delete(session, &deletion)),
            }
        }
        Order::Approve => {
            let asked = orders.deletions().map_err(fault)?.remove(session);
            let asked = asked.ok_or_else(|| format!("nobody asked for a deletion of {session}"))?;
            let asked_by = asked.asked.by.as_str().into();
            let deletion = asked.approve(said, archive.two_person)?;
            Decided {
                event: Event::DeletionApproved {
                    uid,
                    by,
                    reason,
                    asked_by,
                },
                text: format!("{session} will be deleted"),
                write: Box::new(move |orders, session| orders.delete(session, &deletion)),
            }
        }
    })
}
