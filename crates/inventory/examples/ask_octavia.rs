//! In: `OS_*` variables (or OS_CLOUD), the path of a cache file, names of targets. Out: what Octavia says, once a second for
//! SECONDS (default 1) seconds: how the inventory stands, and what each name means.
//! Never: more than a look: nothing is connected to but Keystone and Octavia.
#![allow(clippy::print_stdout, reason = "a look, by people")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use ampgate_access::{LoginUser, TargetName};
use ampgate_inventory::{Inventory, Live, Resolution, Settings, Source, State};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = PathBuf::from(arguments.next().ok_or("usage: ask_octavia FILE [NAME…]")?);
    let names: Vec<String> = arguments.collect();
    let seconds = std::env::var("SECONDS_OF_IT").unwrap_or_default();
    let mut settings = Settings::new(Source::Environment, LoginUser::parse("ubuntu")?);
    settings.fresh = Duration::from_secs(1);
    settings.page = 2;
    let live = Live::start(settings, &file);
    let began = Instant::now();
    while live.condition().await.state == State::Gone && began.elapsed() < Duration::from_secs(5) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for _ in 0..seconds.parse().unwrap_or(1) {
        let condition = live.condition().await;
        println!(
            "{} {} amphorae, {} faults {}",
            condition.state,
            condition.amphorae,
            condition.fault_count,
            condition.sentence.unwrap_or_default()
        );
        for fault in condition.faults {
            println!("  fault: {fault}");
        }
        for name in &names {
            let began = Instant::now();
            let found = live.resolve(&TargetName::parse(name)?).await;
            let took = began.elapsed();
            let said = match found {
                Ok(Resolution::None) => "nothing".to_owned(),
                Ok(Resolution::One(a)) => format!(
                    "amphora-{} at {} {} {} of {:?} in {} ({})",
                    a.id,
                    a.address.map(|a| a.to_string()).unwrap_or_default(),
                    a.role.map(|r| r.to_string()).unwrap_or_default(),
                    a.status.map(|s| s.to_string()).unwrap_or_default(),
                    a.load_balancer.name,
                    a.load_balancer.project,
                    a.load_balancer.project_name.as_deref().unwrap_or("?"),
                ),
                Ok(Resolution::Many(all)) => format!("one of {}", all.len()),
                Ok(Resolution::AskWhichIsActive(all)) => format!("the active of {}", all.len()),
                Err(error) => error.to_string(),
            };
            println!("  {name}: {said} [{took:.0?}]");
        }
        if names.is_empty() {
            for a in live.all().await.unwrap_or_default() {
                println!("  amphora-{} {:?}", a.id, a.load_balancer.name);
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}
