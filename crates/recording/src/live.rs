//! In: a header, then everything that happens on one channel, before it is forwarded.
//! Out: a file that holds it as soon as `commit` returns; heads to be signed; at the end a sealed recording.
//! Never: a live recording whose header is not durable; a write after a failed one.

use std::{
    io::{self, Write},
    os::fd::AsFd,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use rustix::fs::{FlockOperation, fdatasync, flock, fsync, ftruncate};

use crate::{
    chain::Head,
    error::RecordingError,
    frame::PLAIN,
    header::Header,
    key::{PublicKey, Signature},
    pending::Pending,
    proof::{self, Ending, Proof},
    reader::Exit,
    sealer::Sealer,
    store::Store,
    sync::{Shared, SyncHandle},
    writer::Writer,
};

/// The hash is fed with at least this much at once while data flows: BLAKE3 is several times faster on long input.
const HASH_AT: usize = 128 << 10;

/// Where output came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output, and all output of a pseudo-terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A recording in progress. That one exists proves that its header is durable. Calls between two commits only fill a
/// buffer; only after [`commit`](Self::commit) returned `Ok` may what was recorded be forwarded.
pub struct LiveRecording {
    shared: Arc<Shared>,
    session: String,
    key: PublicKey,
    clock: Instant,
    writer: Writer,
    /// Committed bytes that are not hashed yet, then (from `written` on) what the next commit writes.
    pending: Pending,
    written: usize,
    /// Bytes in the file.
    offset: u64,
    // On the heap, because it has 2 KiB and recordings live inside futures that are moved.
    hasher: Box<blake3::Hasher>,
    marks: u64,
    /// Bytes encoded, and bytes committed: stdout, stderr, input.
    encoded: [u64; 3],
    committed: [u64; 3],
    /// Where the recording is sealed. `pending` is then what no frame has yet.
    sealer: Option<Box<Sealer>>,
    /// For a sealed recording: what of the committed bytes is in the file.
    framed: [u64; 3],
}

impl LiveRecording {
    /// Creates the file, writes the header and makes both durable. Blocks as long as the disk takes.
    ///
    /// # Errors
    /// If the store has no room or the file cannot be written; there is no live recording then.
    pub fn open(store: &Store, header: &Header) -> Result<Self, RecordingError> {
        let line = header.line()?;
        store.admit()?;
        let sealed = store
            .recipients()
            .map(|recipients| Sealer::new(header, recipients))
            .transpose()?;
        let (file, day, path) = store.create(&header.session)?;
        // Tells a verifier on this host that the recorder lives. Not every file system can, and nothing depends on it.
        let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
        let mut live = Self {
            shared: Shared::new(file, path),
            session: header.session.clone(),
            key: header.sealing_key,
            clock: Instant::now(),
            writer: Writer::new(header.pty),
            pending: Pending::default(),
            written: 0,
            offset: 0,
            hasher: Box::new(blake3::Hasher::new()),
            marks: 0,
            encoded: [0; 3],
            committed: [0; 3],
            sealer: None,
            framed: [0; 3],
        };
        if let Some((sealer, first_line)) = sealed {
            live.sealer = Some(Box::new(sealer));
            live.write_out(first_line.as_bytes())?;
        }
        live.pending.push(line.as_bytes());
        live.flush()?;
        live.rest();
        live.make_durable(day.as_fd())?;
        Ok(live)
    }

    /// Output on its way to the operator.
    pub fn output(&mut self, stream: Stream, bytes: &[u8]) {
        let at = self.micros();
        self.writer.output(&mut self.pending, at, stream, bytes);
        let [stdout, stderr, _] = &mut self.encoded;
        *(if stream == Stream::Stdout {
            stdout
        } else {
            stderr
        }) += bytes.len() as u64;
    }

    /// Input on its way to the amphora, where input is recorded.
    pub fn input(&mut self, bytes: &[u8]) {
        self.shown_input(bytes);
        self.count_input(bytes.len() as u64);
    }

    /// Input of which it was decided late that it is recorded. It was counted when it passed.
    pub fn shown_input(&mut self, bytes: &[u8]) {
        let at = self.micros();
        self.writer.input(&mut self.pending, at, bytes);
    }

    /// Input that passes without being recorded: only its length is kept, in the ending.
    pub fn count_input(&mut self, bytes: u64) {
        let [_, _, input] = &mut self.encoded;
        *input += bytes;
    }

    /// A new size of the terminal, as the client said it. Players are told at most 1000 × 1000.
    pub fn resize(&mut self, cols: u32, rows: u32) {
        let at = self.micros();
        self.writer.resize(&mut self.pending, at, cols, rows);
    }

    /// What the gateway says or does; shown by players as a marker.
    pub fn marker(&mut self, text: &str) {
        let at = self.micros();
        self.writer.marker(&mut self.pending, at, text);
    }

    /// How the program ended. Characters that it did not complete are shown as they are before that.
    pub fn exit(&mut self, exit: &Exit) {
        let at = self.micros();
        self.writer.finish(&mut self.pending, at);
        self.writer.exit(&mut self.pending, at, exit);
    }

    /// Writes everything since the last commit with one write(2). Afterwards it survives the gateway's death; after
    /// the next sync also the machine's. A sealed recording writes whole frames only: what is left is written by the
    /// next [`flush`](Self::flush), which its owner owes within a second.
    ///
    /// # Errors
    /// [`RecordingError::Full`] or [`RecordingError::Io`] for the call that failed, then [`RecordingError::Dead`].
    pub fn commit(&mut self) -> Result<(), RecordingError> {
        self.shared.alive()?;
        if self.sealer.is_some() {
            self.seal_frames(PLAIN)?;
            self.committed = self.encoded;
            return Ok(());
        }
        let bytes = self.pending.from(self.written);
        if bytes.is_empty() {
            return Ok(());
        }
        if let Err(e) = (&self.shared.file).write_all(bytes) {
            return Err(self.die(e));
        }
        self.offset += bytes.len() as u64;
        self.written = self.pending.len();
        self.committed = self.encoded;
        self.shared.soil();
        if self.written >= HASH_AT {
            self.hash();
        }
        Ok(())
    }

    /// Commits, and in a sealed recording closes a frame with what none has yet.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn flush(&mut self) -> Result<(), RecordingError> {
        self.commit()?;
        self.seal_frames(1)
    }

    /// Whether something was committed that is in no frame yet.
    #[must_use]
    pub fn owes_frame(&self) -> bool {
        self.sealer.is_some() && self.pending.len() > 0
    }

    /// The state of the file after a [`flush`](Self::flush), to be signed. Also puts a mark into the file, by which a verifier knows
    /// where to take the hash. Gives the buffers' memory back.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn head(&mut self) -> Result<Head, RecordingError> {
        let mark = proof::head_line(self.marks + 1);
        self.marked(&mark)
    }

    /// Writes the proof of a head of this recording; events may have come in between. Commits.
    ///
    /// # Errors
    /// [`RecordingError::Seal`] if the signature is not the sealing key's (the recording lives on), else as
    /// [`commit`](Self::commit).
    pub fn prove(&mut self, head: &Head, signature: &Signature) -> Result<(), RecordingError> {
        self.shared.alive()?;
        let line = proof_line(
            &self.shared.path,
            &self.session,
            &self.key,
            head,
            signature,
            false,
        )?;
        self.line(&line)?;
        self.rest();
        Ok(())
    }

    /// Hashes what is committed and gives the buffer's memory back: for a recording on which nothing happens.
    /// [`head`](Self::head) and [`prove`](Self::prove) do so themselves.
    pub fn rest(&mut self) {
        match &mut self.sealer {
            Some(sealer) if self.pending.len() == 0 => {
                sealer.rest();
                self.pending.release();
            }
            None if self.written == self.pending.len() => {
                self.hash();
                self.pending.release();
            }
            _ => {}
        }
    }

    /// Ends the recording. `reason` says in plain words why.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn close(mut self, reason: &str) -> Result<(ClosedRecording, Head), RecordingError> {
        let at = self.micros();
        self.writer.finish(&mut self.pending, at);
        let [stdout, stderr, input] = self.encoded;
        let ending = Ending {
            reason: reason.to_owned(),
            stdout,
            stderr,
            input,
        };
        if self.sealer.is_some() {
            self.pending.push(ending.line().as_bytes());
        }
        let head = match self.sealer {
            // Why it ended is told inside; in clear only what the file's size tells as well.
            Some(_) => self.marked(&ending.without_reason().line())?,
            None => self.marked(&ending.line())?,
        };
        let closed = ClosedRecording {
            shared: self.shared,
            session: self.session,
            key: self.key,
            head: head.clone(),
            ending,
        };
        Ok((closed, head))
    }

    /// Bytes of a stream that are in the file, or will be by the next frame. Against what was forwarded, the difference
    /// must be zero. A dead recording has no next frame: what was owed one is lost, and not counted.
    #[must_use]
    pub fn bytes_recorded(&self, stream: Stream) -> u64 {
        let lost = self.sealer.is_some() && self.shared.alive().is_err();
        let [stdout, stderr, _] = if lost { self.framed } else { self.committed };
        if stream == Stream::Stdout {
            stdout
        } else {
            stderr
        }
    }

    /// Size of the file.
    #[must_use]
    pub fn file_size(&self) -> u64 {
        self.offset
    }

    /// Makes the file durable from another thread.
    #[must_use]
    pub fn sync_handle(&self) -> SyncHandle {
        SyncHandle(Arc::clone(&self.shared))
    }

    /// The recording's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// The session that is recorded.
    #[must_use]
    pub fn session(&self) -> &str {
        &self.session
    }

    fn micros(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn make_durable(&self, directory: impl AsFd) -> Result<(), RecordingError> {
        let failed = |e| RecordingError::io(&self.shared.path, "make its header durable", e);
        fdatasync(&self.shared.file).map_err(failed)?;
        fsync(directory).map_err(failed)
    }

    /// Commits with `mark` as the last line and takes the head after it.
    fn marked(&mut self, mark: &str) -> Result<Head, RecordingError> {
        self.line(mark)?;
        self.rest();
        self.marks += 1;
        let mut head = Head::new(
            self.session.clone(),
            self.offset,
            *self.hasher.finalize().as_bytes(),
        );
        head.number = self.marks;
        Ok(head)
    }

    /// Writes a mark or a proof, which stand in clear also in a sealed recording.
    fn line(&mut self, line: &str) -> Result<(), RecordingError> {
        if self.sealer.is_some() {
            self.flush()?;
            return self.write_out(line.as_bytes());
        }
        self.pending.push(line.as_bytes());
        self.commit()
    }

    /// Closes frames while at least so many bytes of the cast wait for one, and writes them with one write(2).
    fn seal_frames(&mut self, at_least: usize) -> Result<(), RecordingError> {
        let Some(sealer) = &mut self.sealer else {
            return Ok(());
        };
        let mut frames = Vec::new();
        let mut done = 0;
        while self.pending.len() - done >= at_least.max(1) {
            let rest = self.pending.from(done);
            let plain = rest.get(..PLAIN).unwrap_or(rest);
            match sealer.frame(plain) {
                Ok(frame) => frames.extend_from_slice(&frame),
                Err(why) => return Err(self.die(io::Error::other(why))),
            }
            done += plain.len();
        }
        self.pending.drop_front(done);
        self.write_out(&frames)?;
        if self.pending.len() == 0 {
            self.framed = self.encoded;
        }
        Ok(())
    }

    /// Appends to a sealed recording's file.
    fn write_out(&mut self, bytes: &[u8]) -> Result<(), RecordingError> {
        self.shared.alive()?;
        if bytes.is_empty() {
            return Ok(());
        }
        if let Err(e) = (&self.shared.file).write_all(bytes) {
            return Err(self.die(e));
        }
        self.offset += bytes.len() as u64;
        self.hasher.update(bytes);
        self.shared.soil();
        Ok(())
    }

    /// Feeds all committed bytes to the hash; nothing may be uncommitted.
    fn hash(&mut self) {
        self.hasher.update(self.pending.from(0));
        self.pending.clear();
        self.written = 0;
    }

    /// The recording is dead. What a failed write left behind is taken away, so that the file ends with the last
    /// commit; then, if there is room, a line says why it ends.
    fn die(&mut self, error: io::Error) -> RecordingError {
        self.shared.kill();
        self.pending.truncate(self.written);
        let line = proof::died_line(&error.to_string());
        if ftruncate(&self.shared.file, self.offset).is_ok()
            && (&self.shared.file).write_all(line.as_bytes()).is_err()
        {
            let _ = ftruncate(&self.shared.file, self.offset);
        }
        RecordingError::io(&self.shared.path, "record", error)
    }
}

/// A recording that is complete but for its final proof. Dropped without one, it stays "ended, but never sealed".
pub struct ClosedRecording {
    shared: Arc<Shared>,
    session: String,
    key: PublicKey,
    head: Head,
    ending: Ending,
}

impl ClosedRecording {
    /// Writes the final proof and makes the file durable. Blocks as long as the disk takes.
    ///
    /// # Errors
    /// [`RecordingError::Seal`] if the signature is not the sealing key's; else the file system's failure.
    pub fn seal(self, signature: &Signature) -> Result<PathBuf, RecordingError> {
        self.shared.alive()?;
        let path = &self.shared.path;
        let line = proof_line(path, &self.session, &self.key, &self.head, signature, true)?;
        (&self.shared.file)
            .write_all(line.as_bytes())
            .map_err(|e| {
                let _ = ftruncate(&self.shared.file, self.head.offset());
                RecordingError::io(path, "seal it", e)
            })?;
        self.shared.sync()?;
        Ok(path.clone())
    }

    /// The head to be signed.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Why it ended and what it holds.
    #[must_use]
    pub fn ending(&self) -> &Ending {
        &self.ending
    }

    /// The recording's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }
}

/// The proof of a head, after making sure that it is one: an unsigned proof would only be found years later.
fn proof_line(
    path: &Path,
    session: &str,
    key: &PublicKey,
    head: &Head,
    signature: &Signature,
    last: bool,
) -> Result<String, RecordingError> {
    let wrong = |why| {
        Err(RecordingError::Seal {
            path: path.to_owned(),
            why,
        })
    };
    if head.session() != session || head.number == 0 {
        return wrong("the head is of another recording");
    }
    if !key.verifies(&head.message(), signature) {
        return wrong("the sealing key did not make this signature");
    }
    Ok(Proof::new(head, &key.fingerprint(), signature, last).line())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn nobody() -> Header {
        Header {
            session: "01KAS2J5Y8QWERTY0123456789".into(),
            channel: None,
            user: String::new(),
            source: String::new(),
            target: String::new(),
            amphora: String::new(),
            load_balancer: String::new(),
            load_balancer_name: String::new(),
            project: String::new(),
            landing: String::new(),
            action: String::new(),
            command: None,
            cols: 80,
            rows: 24,
            term: None,
            pty: true,
            started: jiff::Timestamp::UNIX_EPOCH,
            gateway: String::new(),
            host_key: None,
            sealing_key: PublicKey::from_raw([0; 32]),
        }
    }

    /// A thousand sessions rest at a time: no buffer is kept, and the hash's state is the largest part.
    #[test]
    fn at_rest_a_recording_is_small() {
        let dir = tempfile::tempdir().unwrap();
        let header = nobody();
        let live = LiveRecording::open(&Store::open(dir.path(), 0).unwrap(), &header).unwrap();
        is_small(live);
        let identity = age::x25519::Identity::generate().to_public().to_string();
        let sealed = Store::open(dir.path().join("sealed"), 0)
            .unwrap()
            .sealed_to(Some(Arc::new(
                crate::Recipients::new(&[identity], 1).unwrap(),
            )));
        is_small(LiveRecording::open(&sealed, &header).unwrap());
    }

    /// What was shown half an hour ago, and everything since rested, costs next to nothing when it is shown again.
    #[test]
    fn a_history_that_rested_is_looked_back_at() {
        let dir = tempfile::tempdir().unwrap();
        let identity = age::x25519::Identity::generate().to_public().to_string();
        let sealed = Store::open(dir.path(), 0).unwrap().sealed_to(Some(Arc::new(
            crate::Recipients::new(&[identity], 1).unwrap(),
        )));
        let mut live = LiveRecording::open(&sealed, &nobody()).unwrap();
        let mut text = [0; 6000];
        blake3::Hasher::new().finalize_xof().fill(&mut text);
        for letter in &mut text {
            *letter = b'a' + *letter % 26;
        }
        let mut grown = || {
            let before = live.file_size();
            live.output(Stream::Stdout, &text);
            live.flush().unwrap();
            let now = live.file_size();
            live.head().unwrap();
            now - before
        };
        let (first, again) = (grown(), grown());
        assert!(first > 2000 && again < 200, "{first}, then {again} bytes");
    }

    fn is_small(mut live: LiveRecording) {
        live.output(Stream::Stdout, &[b'x'; 100_000]);
        live.commit().unwrap();
        assert!(live.pending.held() > 0);
        live.head().unwrap();
        let history = live.sealer.as_ref().map_or(0, |sealer| sealer.held());
        assert!(history <= 8192, "{history} bytes of history");
        let strings = live.session.capacity() + live.shared.path.capacity();
        let heap =
            live.pending.held() + size_of::<blake3::Hasher>() + size_of::<Shared>() + strings;
        assert!(heap < 4096, "{heap} bytes on the heap");
        assert!(size_of::<LiveRecording>() < 512);
    }
}
