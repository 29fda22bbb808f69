//! In: a proved principal's channel on the gateway itself. Out: what they asked of it: help, who is live, a look, an end.
//! Never: a shell, a command, a path; anything of somebody else's session without policy's word.

use std::sync::Arc;

use ampgate_access::{Action, Ask};
use ampgate_screen::text;
use jiff::Timestamp;
use serde_json::json;

use crate::admit;
use crate::ask::{self, Downstream};
use crate::oversee::Overseer;
use crate::pane::window;
use crate::replay;
use crate::sentence::Trouble;
use crate::tell;
use crate::watch::{self, By};
use crate::wish::{self, Wish};

/// What else can be typed, told with the greeting.
const HELP: &str = "\
Of the gateway itself, as far as policy allows:
  ssh GATEWAY sessions [--json]         who is on which amphora now
  ssh -t GATEWAY watch SESSION          see it as it happens (q leaves, k ends it)
  ssh GATEWAY kill SESSION WHY          end it; the operator is told why
  ssh -t GATEWAY replay SESSION         play its recording
  ssh GATEWAY replay SESSION --file     the recording itself, on standard output
";

/// Answers one channel.
pub async fn attend(
    overseer: &Overseer,
    down: &mut Downstream,
    session: &ampgate_access::SessionId,
) {
    let gateway = &overseer.gateway;
    let Ok(asked) = ask::read(down, &gateway.config()).await else {
        return;
    };
    let pty = asked.terminal.is_some();
    let terminal = asked.terminal.as_ref();
    let size = terminal.map(|t| window(t.size.columns, t.size.rows));
    let wish = match &asked.ask {
        Ask::Shell => Ok(Wish::Targets),
        Ask::Exec(command) => wish::parse(command),
        Ask::Sftp => Err("there are no files on the gateway".to_owned()),
    };
    let done = match wish {
        Err(wrong) => Err(Trouble::NotOffered(format!(
            "{wrong}; for an amphora type ssh -J {} amphora-<uuid>",
            gateway.name
        ))),
        Ok(Wish::Targets) => {
            let text = greeting(overseer).await;
            return tell::text(down, pty, &text, 0).await;
        }
        Ok(Wish::Help) => {
            let help = HELP.replace("GATEWAY", &gateway.name);
            let text = format!("{}{help}", greeting(overseer).await);
            return tell::text(down, pty, &text, 0).await;
        }
        Ok(Wish::Sessions { json }) => match sessions(overseer, json).await {
            Ok(text) => return tell::text(down, pty, &text, 0).await,
            Err(trouble) => Err(trouble),
        },
        Ok(Wish::Kill(word, why)) => match overseer.kill(&word, why).await {
            Ok(ended) => {
                return tell::text(down, pty, &format!("session {ended} ends\n"), 0).await;
            }
            Err(trouble) => Err(trouble),
        },
        Ok(Wish::Watch(word)) => match size {
            Some(size) => watched(overseer, down, &word, size).await,
            None => Err(Trouble::NotOffered(format!(
                "watching needs a terminal: ssh -t {} watch {}",
                gateway.name,
                word.as_str()
            ))),
        },
        Ok(Wish::Replay {
            session: word,
            file,
        }) => match (file, size) {
            (true, _) => replay::run(overseer, down, &word, None).await,
            (false, Some(size)) => replay::run(overseer, down, &word, Some(size)).await,
            // Its file is no picture: whoever wants that says so.
            (false, None) => Err(Trouble::NotOffered(format!(
                "playing needs a terminal: ssh -t {gateway} replay {id}; for the recording's file: ssh {gateway} replay {id} --file",
                gateway = gateway.name,
                id = word.as_str()
            ))),
        },
    };
    if let Err(trouble) = done {
        tell::trouble(down, pty, &trouble, session).await;
    }
}

async fn greeting(overseer: &Overseer) -> String {
    let gateway = &overseer.gateway;
    let now = Timestamp::now();
    admit::greeting(&gateway.rules(), &overseer.principal, &gateway.name, now).await
}

/// Watches, on this channel's terminal.
async fn watched(
    overseer: &Overseer,
    down: &mut Downstream,
    word: &wish::SessionWord,
    size: (usize, usize),
) -> Result<(), Trouble> {
    let (live, right) = overseer.live(word, Action::Watch).await?;
    ask::answer(down, true).await;
    let by = By::Overseer(overseer.clone(), Box::new(right));
    let gateway = &overseer.gateway;
    let mut pane = &down.write;
    let over = watch::run(gateway, &live, by, &mut down.read, &mut pane, size).await?;
    let told = over
        .told
        .map(|told| format!("ampgate: {told}. session {}\n", live.session));
    tell::text(down, true, &told.unwrap_or_default(), 0).await;
    Ok(())
}

/// The live sessions that this person may watch.
async fn sessions(overseer: &Overseer, as_json: bool) -> Result<String, Trouble> {
    let all = overseer.visible().await?;
    if as_json {
        let rows: Vec<_> = all
            .iter()
            .map(|live| {
                let about = live.about();
                json!({
                    "session": live.session.to_string(),
                    "seconds": live.age().as_secs(),
                    "user": about.user.to_string(),
                    "source": about.source.to_string(),
                    "target": about.target.to_string(),
                    "amphora": about.amphora.to_string(),
                    "load_balancer": about.load_balancer.to_string(),
                    "load_balancer_name": text::safe(&about.load_balancer_name.to_string()),
                    "project": about.project.to_string(),
                    "landing": about.landing.to_string(),
                    "action": about.action.to_string(),
                    "watchers": live.screen.watchers(),
                })
            })
            .collect();
        return Ok(format!("{:#}\n", serde_json::Value::from(rows)));
    }
    if all.is_empty() {
        return Ok("no live session that you may watch\n".to_owned());
    }
    let line = |live: &Arc<crate::live::LiveSession>| {
        let about = live.about();
        format!(
            "{}  {:>9}  {:<12}  {:<6}  {:<5}  {}  {}\n",
            live.session,
            text::clock(live.age()),
            text::fitted(&about.user.to_string(), 32),
            about.landing.to_string(),
            about.action.to_string(),
            text::fitted(&about.target.to_string(), 50),
            text::fitted(&about.load_balancer_name.to_string(), 40),
        )
    };
    Ok(all.iter().map(line).collect())
}
