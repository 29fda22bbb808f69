//! In: how many amphorae (50,000 if nothing is said). Out: how long a start from disk takes, a look-up, and what memory it has.
//! Never: a cloud: the file is made here, in a temporary directory.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a measurement, run by people"
)]

use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime};

use ampgate_access::{LoginUser, TargetName};
use ampgate_inventory::{Inventory, Live, Resolution, Settings, Source};

fn main() {
    let count = std::env::args().nth(1);
    let count: usize = count.map_or(50_000, |text| text.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("octavia.inventory");
    std::fs::write(&file, content(count)).unwrap();
    let size = std::fs::metadata(&file).unwrap().len();
    let settings = Settings::new(Source::Environment, LoginUser::parse("ubuntu").unwrap());

    let (before, began) = (memory(), Instant::now());
    let live = Live::last_known(settings, &file);
    let start = began.elapsed();
    let held = memory().saturating_sub(before);

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        println!("amphorae          {}", live.all().await.unwrap().len());
        println!("file              {:.1} MiB", size as f64 / 1_048_576.0);
        println!("start from disk   {:.0} ms", start.as_secs_f64() * 1e3);
        println!("memory            {:.1} MiB", held as f64 / 1024.0);
        for (what, name) in [
            ("by id", format!("amphora-{}", amphora(count / 2))),
            (
                "by prefix",
                format!("amphora-{}", &amphora(count / 2)[..30]),
            ),
            ("by lb name", format!("lb-balancer-{}", count / 4)),
            ("by lb id", format!("lb-{}.backup", balancer(count / 4))),
            ("unknown", "lb-there-is-none".to_owned()),
        ] {
            let name = TargetName::parse(&name).unwrap();
            let mut times: Vec<Duration> = Vec::new();
            for _ in 0..10_001 {
                let began = Instant::now();
                let found = live.resolve(&name).await.unwrap();
                times.push(began.elapsed());
                assert_eq!(what == "unknown", found == Resolution::None);
            }
            times.sort();
            let micros = |at: usize| times[at].as_secs_f64() * 1e6;
            println!(
                "{what:<17} p50 {:.2} µs, p99 {:.2} µs",
                micros(times.len() / 2),
                micros(times.len() * 99 / 100)
            );
        }
    });
}

/// Two amphorae for each load balancer.
fn content(count: usize) -> Vec<u8> {
    let mut body = String::from("{\"amphorae\":[");
    for n in 0..count {
        let role = if n % 2 == 0 { "MASTER" } else { "BACKUP" };
        let comma = if n == 0 { "" } else { "," };
        let _ = write!(
            body,
            "{comma}{{\"id\":\"{}\",\"loadbalancer_id\":\"{}\",\"compute_id\":\"{:08x}-1111-4222-8333-{n:012x}\",\"lb_network_ip\":\"10.{}.{}.{}\",\"role\":\"{role}\",\"status\":\"ALLOCATED\",\"cached_zone\":\"nova\",\"image_id\":\"0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d\"}}",
            amphora(n),
            balancer(n / 2),
            n * 7,
            n >> 16,
            (n >> 8) & 255,
            n & 255
        );
    }
    body += "],\"balancers\":[";
    for n in 0..count.div_ceil(2) {
        let comma = if n == 0 { "" } else { "," };
        let _ = write!(
            body,
            "{comma}{{\"id\":\"{}\",\"name\":\"Balancer-{n}\",\"project_id\":\"{:032x}\",\"tags\":[\"env:prod\",\"team:{}\"],\"provider\":\"amphora\"}}",
            balancer(n),
            n / 20,
            n % 50
        );
    }
    body += "]}";
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seconds = seconds.unwrap().as_secs();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seconds.to_be_bytes());
    hasher.update(body.as_bytes());
    let head = format!("ampgate-inventory-1 {seconds} {}\n", hasher.finalize());
    (head + &body).into_bytes()
}

/// Spread over all beginnings, as real ones are.
fn amphora(n: usize) -> String {
    let spread = (n as u32).wrapping_mul(2_654_435_761);
    format!("{spread:08x}-0000-4000-8000-{n:012x}")
}

fn balancer(n: usize) -> String {
    let spread = (n as u32).wrapping_mul(2_246_822_519);
    format!("{spread:08x}-0000-4000-9000-{n:012x}")
}

/// Resident memory of this process, in KiB.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.unwrap().parse().unwrap()
}
