//! In: stores that are down, slow, lying and forgetful. Out: nothing removed early, and everything there in the end.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod bed;

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use ampgate_archive::{Deletion, Key, Manifest, Orders, Said, fetch};
use bed::{Fault, Mortal, S3, Site, at, client, files};
use futures_util::FutureExt as _;
use jiff::Timestamp;

/// Of 2026-11-22.
const A: &str = "01M81J18G0ESH3FN762TGK9EQE";
const B: &str = "01M81J18G0ESH3FN762TGK9EQF";

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn text(lines: usize) -> Vec<u8> {
    (0..lines)
        .flat_map(|n| format!("[{n}, \"o\", \"line {n}\"]\n").into_bytes())
        .collect()
}

#[test]
fn what_the_store_has_is_what_the_gateway_had() {
    let site = Site::new();
    let s3 = S3::start(0);
    let secret = site.dir.path().join("secret");
    site.journal(21, "gateway.started", "", "");
    site.journal(22, "recording.opened", A, "");
    site.record(A, "cast", &text(5000));
    // Open, and of another form.
    site.journal(22, "recording.opened", B, "");
    site.record(B, "sealed", &[7; 5000]);
    let pass =
        |shipper: &mut ampgate_archive::Shipper| runtime().block_on(shipper.pass(at(0))).unwrap();
    let mut shipper = site.shipper(client(s3.port, &secret), None, None);
    let first = pass(&mut shipper);
    assert!(first.fault.is_none(), "{first:?}");
    // Yesterday's journal is whole; the rest grows.
    assert_eq!((first.shipped, first.waiting_bytes), (1, 0));
    site.record(A, "cast", &text(10));
    site.record(B, "sealed", &[8; 100]);
    site.seal(A);
    let second = pass(&mut shipper);
    assert_eq!((second.shipped, second.waiting_bytes), (1, 0), "{second:?}");
    assert_eq!(site.heard(), ["shipped", "shipped"]);

    let back = site.dir.path().join("back");
    let done = runtime()
        .block_on(fetch(client(s3.port, &secret).as_ref(), &back))
        .unwrap();
    assert_eq!(
        (done.whole, done.growing, done.already),
        (2, 2, 0),
        "{done:?}"
    );
    assert_eq!(
        files(&back.join("recordings")),
        files(&site.places().recordings)
    );
    assert_eq!(files(&back.join("journal")), files(&site.places().journal));
    let again = runtime()
        .block_on(fetch(client(s3.port, &secret).as_ref(), &back))
        .unwrap();
    assert_eq!((again.whole, again.already), (0, 2));
    // The parts of what is whole are gone, and a plain recording is there compressed.
    let names: Vec<String> = s3.shared.objects.lock().unwrap().keys().cloned().collect();
    assert!(
        !names
            .iter()
            .any(|name| name.contains(&format!("{A}.cast.parts/"))),
        "{names:?}"
    );
    assert!(
        names.contains(&format!("gw/recordings/2026/11/22/{A}.cast.zst")),
        "{names:?}"
    );
}

#[test]
fn an_hour_without_a_store_costs_nothing_but_the_hour() {
    let site = Site::new();
    let secret = site.dir.path().join("secret");
    let path = site.record(A, "cast", &text(100));
    site.journal(22, "recording.opened", A, "");
    site.seal(A);
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut shipper = site.shipper(client(port, &secret), Some(0), None);
    let second = jiff::SignedDuration::from_secs(1);
    for seconds in 0..720 {
        let now = at(0) + second * (seconds * 5);
        let pass = runtime().block_on(shipper.pass(now)).unwrap();
        assert!(pass.fault.is_some() && pass.shipped == 0);
        assert!(shipper.pause().is_some());
    }
    assert!(path.exists());
    assert_eq!(site.heard(), ["failed"]);
    let s3 = S3::start(port);
    let pass = runtime().block_on(shipper.pass(at(1))).unwrap();
    assert!(pass.fault.is_none(), "{pass:?}");
    assert_eq!(site.heard(), ["shipped", "removed", "resumed"]);
    assert!(!path.exists() && shipper.pause().is_none());
    assert!(s3.shared.objects.lock().unwrap().len() >= 3);
}

#[test]
fn whatever_the_store_does_nothing_goes_before_it_is_proved() {
    for (method, fault) in [
        ("PUT", Fault::Fails),
        ("PUT", Fault::Forgets),
        ("PUT", Fault::Corrupts),
        ("PUT", Fault::Hangs),
        ("GET", Fault::Fails),
        ("GET", Fault::Truncates),
        ("GET", Fault::Lies),
        ("GET", Fault::Hangs),
        ("LIST", Fault::Fails),
    ] {
        let site = Site::new();
        let s3 = S3::start(0);
        let path = site.record(A, "cast", &text(1000));
        let whole = fs::read(&path).unwrap();
        site.journal(22, "recording.opened", A, "");
        site.seal(A);
        let secret = site.dir.path().join("secret");
        let mut shipper = site.shipper(client(s3.port, &secret), Some(0), None);
        s3.fault(Some((method, fault)));
        for hour in 0..3 {
            let pass = runtime().block_on(shipper.pass(at(hour))).unwrap();
            assert!(pass.fault.is_some(), "{method} {fault:?}");
            assert_eq!(fs::read(&path).unwrap(), whole, "{method} {fault:?}");
        }
        let heard = site.heard();
        assert!(!heard.contains(&"removed"), "{method} {fault:?} {heard:?}");
        // Not even said to be there. (A store that does not list has it.)
        assert!(
            !heard.contains(&"shipped") || method == "LIST",
            "{method} {fault:?} {heard:?}"
        );
        s3.fault(None);
        let pass = runtime().block_on(shipper.pass(at(5))).unwrap();
        assert!(pass.fault.is_none(), "{method} {fault:?} {pass:?}");
        assert!(!path.exists(), "{method} {fault:?}");
        let back = site.dir.path().join("back");
        runtime()
            .block_on(fetch(client(s3.port, &secret).as_ref(), &back))
            .unwrap();
        let fetched = fs::read(back.join(format!("recordings/2026/11/22/{A}.cast"))).unwrap();
        assert_eq!(fetched, whole);
    }
}

#[test]
fn what_rots_in_the_store_keeps_the_local_copy() {
    let site = Site::new();
    let path = site.record(A, "cast", &text(100));
    site.journal(22, "recording.opened", A, "");
    site.seal(A);
    let key = format!("gw/recordings/2026/11/22/{A}.cast");
    for (name, rot) in [
        (format!("{key}.zst"), b"rotten".to_vec()),
        (format!("{key}.manifest"), b"{}".to_vec()),
    ] {
        let mut shipper = site.shipper(site.directory(), Some(9), None);
        shipper.pass(at(24)).now_or_never().unwrap().unwrap();
        let object = site.store().join(&name);
        let good = fs::read(&object).unwrap();
        site.heard();
        fs::write(&object, rot).unwrap();
        let pass = shipper.pass(at(24 * 11)).now_or_never().unwrap().unwrap();
        assert!(pass.fault.is_some(), "{name}");
        assert_eq!(site.heard(), ["failed"], "{name}");
        assert!(path.exists());
        fs::write(&object, good).unwrap();
    }
    // And a local copy that was changed behind the gateway's back is not taken for the one in the store.
    fs::write(
        &path,
        [b"x".as_slice(), &fs::read(&path).unwrap()[1..]].concat(),
    )
    .unwrap();
    let mut shipper = site.shipper(site.directory(), Some(9), None);
    let pass = shipper.pass(at(24 * 12)).now_or_never().unwrap().unwrap();
    assert!(
        pass.fault
            .unwrap()
            .to_string()
            .contains("not what was shipped")
    );
    assert!(path.exists());
}

#[test]
fn open_and_unsealed_recordings_never_leave() {
    let site = Site::new();
    let open = site.record(A, "cast", &text(10));
    site.journal(22, "recording.opened", A, "");
    let unsealed = site.record(B, "cast", &text(10));
    site.journal(22, "recording.opened", B, "");
    site.journal(22, "recording.closed", B, ",\"sealed\":false,\"head\":null");
    let mut shipper = site.shipper(site.directory(), Some(0), Some(1));
    for day in [1, 10, 10_000] {
        let pass = shipper.pass(at(24 * day)).now_or_never().unwrap().unwrap();
        assert!(pass.fault.is_none(), "{pass:?}");
        assert!(open.exists() && unsealed.exists());
    }
    assert_eq!(site.heard(), ["shipped"]);
}

#[test]
fn a_shipper_killed_in_any_request_goes_on_where_it_was() {
    for after in [false, true] {
        let mut finished = false;
        for deaths in 0..200 {
            let site = Site::new();
            let path = site.record(A, "cast", &text(300));
            let whole = fs::read(&path).unwrap();
            site.journal(21, "gateway.started", "", "");
            site.journal(22, "recording.opened", A, "");
            let mut shipper = site.shipper(site.directory(), Some(0), None);
            // It grew in two steps before it was closed.
            shipper.pass(at(0)).now_or_never().unwrap().unwrap();
            drop(shipper);
            site.seal(A);
            let mortal = Mortal {
                inner: site.directory(),
                left: AtomicUsize::new(deaths),
                after,
            };
            let mut shipper = site.shipper(Box::new(mortal), Some(0), None);
            let lived = shipper.pass(at(1)).now_or_never();
            drop(shipper);
            if !path.exists() {
                let manifest = site
                    .store()
                    .join(format!("gw/recordings/2026/11/22/{A}.cast.manifest"));
                let key = Key::parse(&format!("recordings/2026/11/22/{A}.cast")).unwrap();
                let manifest = Manifest::read(&key, &fs::read(manifest).unwrap()).unwrap();
                assert_eq!(manifest.size, whole.len() as u64);
            }
            let mut shipper = site.shipper(site.directory(), Some(0), None);
            let pass = shipper.pass(at(2)).now_or_never().unwrap().unwrap();
            assert!(pass.fault.is_none(), "death {deaths}: {pass:?}");
            assert!(!path.exists());
            let back = site.dir.path().join("back");
            let done = fetch(site.directory().as_ref(), &back)
                .now_or_never()
                .unwrap()
                .unwrap();
            assert!(done.faults.is_empty(), "{done:?}");
            let fetched = fs::read(back.join(format!("recordings/2026/11/22/{A}.cast"))).unwrap();
            assert_eq!(fetched, whole, "death {deaths}");
            let heard = site.heard();
            assert!(
                heard.contains(&"removed") && heard.contains(&"shipped"),
                "{heard:?}"
            );
            if lived.is_some() {
                finished = true;
                assert!(
                    deaths > 5,
                    "too few requests for this test to mean anything"
                );
                break;
            }
        }
        assert!(finished, "it never came to its end");
    }
}

#[test]
fn news_wait_for_a_gateway_that_is_down() {
    let site = Site::new();
    site.record(A, "cast", &text(10));
    site.journal(22, "recording.opened", A, "");
    site.seal(A);
    site.told.deaf.store(true, Ordering::Relaxed);
    let mut shipper = site.shipper(site.directory(), Some(0), None);
    shipper.pass(at(0)).now_or_never().unwrap().unwrap();
    drop(shipper);
    assert!(site.heard().is_empty());
    site.told.deaf.store(false, Ordering::Relaxed);
    let mut shipper = site.shipper(site.directory(), Some(0), None);
    shipper.pass(at(1)).now_or_never().unwrap().unwrap();
    assert_eq!(site.heard(), ["shipped", "removed"]);
    shipper.pass(at(2)).now_or_never().unwrap().unwrap();
    assert!(site.heard().is_empty());
}

fn said(uid: u32) -> Said {
    Said {
        uid,
        by: format!("user {uid}"),
        reason: "why".to_owned(),
        when: Timestamp::UNIX_EPOCH,
    }
}

#[test]
fn days_holds_and_deletions() {
    let site = Site::new();
    for id in [A, B] {
        site.record(id, "cast", &text(10));
        site.journal(22, "recording.opened", id, "");
        site.seal(id);
    }
    let orders = Orders::new(&site.places().state);
    let mut shipper = site.shipper(site.directory(), Some(1), Some(30));
    let mut pass = |day: i64| {
        let pass = shipper.pass(at(24 * day)).now_or_never().unwrap().unwrap();
        assert!(pass.fault.is_none(), "{pass:?}");
        let there = |id: &str| {
            let here = site
                .places()
                .recordings
                .join(format!("2026/11/22/{id}.cast"))
                .exists();
            let store = site
                .store()
                .join(format!("gw/recordings/2026/11/22/{id}.cast.manifest"))
                .exists();
            (here, store)
        };
        (there(A), there(B))
    };
    assert_eq!(pass(0), ((true, true), (true, true)));
    orders.hold(A, &said(1)).unwrap();
    assert_eq!(pass(5), ((true, true), (false, true)));
    // Held: also a deletion that two agreed on has to wait. B is only asked for.
    let asked = Deletion {
        asked: said(1),
        approved: None,
    };
    orders.delete(B, &asked).unwrap();
    orders
        .delete(A, &asked.clone().approve(said(2), true).unwrap())
        .unwrap();
    assert_eq!(pass(6), ((true, true), (false, true)));
    assert_eq!(pass(40), ((true, true), (false, false)));
    orders.release(A, &said(1)).unwrap();
    assert_eq!(pass(41), ((false, false), (false, false)));
    assert!(orders.deletions().unwrap().contains_key(B));
    let heard = site.heard();
    assert_eq!(
        heard,
        ["shipped", "shipped", "removed", "deleted", "deleted"]
    );
    assert!(files(&site.store().join("gw/recordings")).is_empty());
    assert!(!files(&site.store().join("gw/journal")).is_empty());
}

/// A gateway that was made anew on the same store finds what was held there.
#[test]
fn a_hold_outlives_the_gateway() {
    let old = Site::new();
    old.record(A, "cast", &text(10));
    old.journal(22, "recording.opened", A, "");
    old.seal(A);
    Orders::new(&old.places().state).hold(A, &said(1)).unwrap();
    old.shipper(old.directory(), None, None)
        .pass(at(0))
        .now_or_never()
        .unwrap()
        .unwrap();
    let new = Site::new();
    let manifest = old
        .store()
        .join(format!("gw/recordings/2026/11/22/{A}.cast.manifest"));
    new.journal(23, "gateway.started", "", "");
    fs::create_dir_all(new.places().recordings).unwrap();
    let mut shipper = new.shipper(old.directory(), Some(1), Some(2));
    shipper.pass(at(24 * 100)).now_or_never().unwrap().unwrap();
    assert!(manifest.exists());
    Orders::new(&new.places().state)
        .release(A, &said(1))
        .unwrap();
    shipper.pass(at(24 * 101)).now_or_never().unwrap().unwrap();
    assert!(!manifest.exists());
}

/// The same prefix, another machine: what the dead one left is not written over, and its parts stay.
#[test]
fn a_gateway_made_anew_destroys_nothing_of_the_dead_ones() {
    let site = Site::new();
    site.record(A, "cast", &text(10));
    site.journal(22, "recording.opened", A, "");
    let mut shipper = site.shipper(site.directory(), None, None);
    shipper.pass(at(0)).now_or_never().unwrap().unwrap();
    // A part that is no piece of the file, by its name.
    let parts = site
        .store()
        .join(format!("gw/recordings/2026/11/22/{A}.cast.parts"));
    let strange = parts.join(format!("{:015}-{:015}-{}.zst", 0, 9, "ab".repeat(32)));
    fs::write(&strange, "of another").unwrap();
    assert_eq!(files(&parts).len(), 2);
    site.seal(A);
    shipper.pass(at(1)).now_or_never().unwrap().unwrap();
    assert_eq!(files(&parts).len(), 1);
    assert!(strange.exists());

    let before = files(&site.store().join("gw/recordings"));
    let new = Site::new();
    new.record(A, "cast", &text(3));
    new.journal(22, "recording.opened", A, "");
    new.seal(A);
    let mut shipper = new.shipper(site.directory(), Some(0), None);
    let pass = shipper.pass(at(2)).now_or_never().unwrap().unwrap();
    let fault = pass.fault.unwrap().to_string();
    assert!(fault.contains("another file of this name"), "{fault}");
    assert_eq!(files(&site.store().join("gw/recordings")), before);
}

#[test]
fn a_day_of_the_journal_that_was_cut_is_not_shipped_over_the_whole_one() {
    let site = Site::new();
    site.journal(21, "gateway.started", "", "");
    site.journal(22, "gateway.started", "", "");
    let mut shipper = site.shipper(site.directory(), None, None);
    shipper.pass(at(0)).now_or_never().unwrap().unwrap();
    let before = files(&site.store());
    let day = site.places().journal.join("journal-2026-11-21.jsonl");
    fs::write(day, "{}\n").unwrap();
    let pass = shipper.pass(at(1)).now_or_never().unwrap().unwrap();
    assert!(pass.fault.is_some());
    assert_eq!(files(&site.store()), before);
}

/// Never both at once, and nothing at all by a clock that leapt or without the disk of the recordings.
#[test]
fn what_left_this_machine_leaves_the_store_later() {
    let site = Site::new();
    let path = site.record(A, "cast", &text(10));
    site.journal(22, "recording.opened", A, "");
    site.seal(A);
    let day = site.places().journal.join("journal-2026-11-22.jsonl");
    let day = fs::File::options().append(true).open(day).unwrap();
    let journal_goes_on = |hours| day.set_modified(at(hours).into()).unwrap();
    let there = site
        .store()
        .join(format!("gw/recordings/2026/11/22/{A}.cast.manifest"));
    let mut shipper = site.shipper(site.directory(), Some(1), Some(2));
    let mut pass = |hours| {
        let pass = shipper.pass(at(hours)).now_or_never().unwrap().unwrap();
        assert!(pass.fault.is_none(), "{pass:?}");
        (path.exists(), there.exists())
    };
    journal_goes_on(0);
    assert_eq!(pass(1), (true, true));
    assert_eq!(pass(24 * 90), (true, true));
    assert_eq!(pass(24 * 90 + 1), (true, true));
    journal_goes_on(24 * 90);
    assert_eq!(pass(24 * 90 + 2), (false, true));
    let (here, away) = (site.places().recordings, site.dir.path().join("away"));
    fs::rename(&here, &away).unwrap();
    assert_eq!(pass(24 * 90 + 4), (false, true));
    fs::rename(&away, &here).unwrap();
    assert_eq!(pass(24 * 90 + 6), (false, false));
}

#[test]
fn one_object_that_is_refused_blocks_nothing() {
    let site = Site::new();
    let refused = site.record(A, "cast", &text(10));
    let other = site.record(B, "cast", &text(10));
    for id in [A, B] {
        site.journal(22, "recording.opened", id, "");
        site.seal(id);
    }
    // In the way of the object, so that it cannot be put there.
    let object = format!("gw/recordings/2026/11/22/{A}.cast.zst/x");
    fs::create_dir_all(site.store().join(object)).unwrap();
    let mut shipper = site.shipper(site.directory(), Some(0), None);
    let pass = shipper.pass(at(1)).now_or_never().unwrap().unwrap();
    assert!(pass.fault.is_some() && shipper.pause().is_none());
    assert!(refused.exists() && !other.exists());
}

#[test]
fn a_fetch_writes_over_nothing_that_is_not_a_beginning() {
    let site = Site::new();
    site.record(A, "cast", &text(100));
    site.journal(21, "gateway.started", "", "");
    site.journal(22, "recording.opened", A, "");
    let mut shipper = site.shipper(site.directory(), None, None);
    let back = site.dir.path().join("back");
    let get = || {
        let store = site.directory();
        let done = fetch(store.as_ref(), &back);
        done.now_or_never().unwrap().unwrap()
    };
    shipper.pass(at(0)).now_or_never().unwrap().unwrap();
    assert!(get().faults.is_empty());
    // It grew, and what was fetched is its beginning.
    site.record(A, "cast", &text(10));
    shipper.pass(at(1)).now_or_never().unwrap().unwrap();
    assert!(get().faults.is_empty());
    assert_eq!(
        files(&back.join("recordings")),
        files(&site.places().recordings)
    );
    // The last part is bad: it is told, and the others are a beginning of what is there.
    let parts = site
        .store()
        .join(format!("gw/recordings/2026/11/22/{A}.cast.parts"));
    let last = files(&parts).into_keys().next_back().unwrap();
    fs::write(parts.join(last), "rotten").unwrap();
    fs::remove_dir_all(&back).unwrap();
    let done = get();
    assert_eq!((done.faults.len(), done.growing), (1, 2), "{done:?}");
    let cast = back.join(format!("recordings/2026/11/22/{A}.cast"));
    assert_eq!(fs::read(&cast).unwrap(), text(100));
    // Neither what grows nor what is whole is replaced by other bytes.
    let day = back.join("journal/journal-2026-11-21.jsonl");
    for changed in [&cast, &day] {
        fs::write(changed, "x").unwrap();
    }
    let done = get();
    assert_eq!(done.faults.len(), 2, "{done:?}");
    for changed in [&cast, &day] {
        assert_eq!(fs::read(changed).unwrap(), b"x");
    }
    assert!(
        !files(&back)
            .keys()
            .any(|name| name.ends_with(".unfinished"))
    );
}
