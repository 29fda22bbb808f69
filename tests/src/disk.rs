//! In: a size. Out: a real file system on a disk that fails, or loses power, when a test says so.
//! Never: a write that the disk was given before its last flush lost by a cut; one since then kept or lost by a rule.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use crate::{
    bed::{bed, script},
    outcome::run,
};

/// ext4 on a loop device on tests/bed/disk.py. Why not a simulation: what the kernel's page cache, ext4's journal and the
/// disk's own cache keep and lose is theirs to say. The log has what ext4 sent to its disk, and each cut is mounted by ext4.
#[derive(Debug)]
pub struct Disk {
    /// A mount of our own that passes on to the gateways' namespaces what is mounted below it later.
    dir: PathBuf,
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Disk {
    /// Makes the disk and a file system on it, mounted at [`store`](Self::store).
    pub fn new(name: &str, mib: u32) -> Disk {
        let dir = bed().directory(name);
        mount(&["--bind"], &dir, &dir);
        let mut shared = Command::new("mount");
        shared.arg("--make-shared").arg(&dir);
        run(shared, b"").good();
        for below in ["platter", "store"] {
            fs::create_dir(dir.join(below)).unwrap();
        }
        let mut process = Command::new(script("disk.py"))
            .arg(dir.join("platter"))
            .arg(mib.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut disk = Disk {
            orders: process.stdin.take().unwrap(),
            answers: BufReader::new(process.stdout.take().unwrap()),
            dir,
            process,
        };
        assert_eq!(disk.answer(), "ready", "a disk needs root and /dev/fuse");
        let mut format = Command::new("mkfs.ext4");
        // No discard: it is the slowest part, and this disk has none.
        format
            .args(["-q", "-F", "-E", "nodiscard,lazy_itable_init=0"])
            .arg(disk.platter("disk"));
        run(format, b"").good();
        disk.mount("disk");
        disk
    }

    /// Where the file system is.
    pub fn store(&self) -> PathBuf {
        self.dir.join("store")
    }

    fn platter(&self, name: &str) -> PathBuf {
        self.dir.join("platter").join(name)
    }

    /// Mounts what the disk shows under this name.
    pub fn mount(&self, name: &str) {
        mount(&["-o", "loop"], &self.platter(name), &self.store());
    }

    /// Takes the file system away, also from who uses it.
    pub fn unmount(&self) {
        let mut umount = Command::new("umount");
        umount.arg("-l").arg(self.store());
        run(umount, b"").good();
    }

    /// Makes everything durable, and keeps what is written from here on.
    pub fn log(&mut self) {
        let mut sync = Command::new("sync");
        sync.arg("-f").arg(self.store());
        run(sync, b"").good();
        self.order("log");
    }

    /// From here on nothing can be written or flushed.
    pub fn fail(&mut self) {
        self.order("fail");
    }

    /// It can again. What failed meanwhile is lost.
    pub fn heal(&mut self) {
        self.order("heal");
    }

    /// How many writes and flushes there were since [`log`](Self::log).
    pub fn entries(&mut self) -> u64 {
        number(&self.order("cuts"))
    }

    /// The power goes after so many of them: the name to [`mount`](Self::mount), and when that was, in nanoseconds of the clock.
    pub fn cut(&mut self, entries: u64, seed: u64) -> (String, u64) {
        let at = number(&self.order(&format!("cut {entries} {seed}")));
        (format!("after-{entries}-{seed}"), at)
    }

    fn order(&mut self, order: &str) -> String {
        writeln!(self.orders, "{order}").unwrap();
        self.answer()
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Without its process nothing waits for the disk any more.
        self.process.kill().ok();
        self.process.wait().ok();
        for place in [self.store(), self.platter(""), self.dir.clone()] {
            let mut umount = Command::new("umount");
            umount.arg("-l").arg(place);
            run(umount, b"");
        }
    }
}

fn number(answer: &str) -> u64 {
    let said = answer.split(' ').next_back();
    said.and_then(|n| n.parse().ok())
        .unwrap_or_else(|| panic!("the disk says {answer:?}"))
}

/// `mount OPTIONS… WHAT WHERE`
pub fn mount(options: &[&str], what: &Path, place: &Path) {
    let mut mount = Command::new("mount");
    mount.args(options).arg(what).arg(place);
    run(mount, b"").good();
}
