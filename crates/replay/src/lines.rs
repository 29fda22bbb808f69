//! In: the bytes of one stream and their times.
//! Out: lines of text without control sequences, or with them spelt out; nothing is drawn over.
//! Never: a control character but newline and tab; more memory than one broken line.

use std::{
    io::{self, Write},
    time::Duration,
};

use ampgate_screen::avt::parser::{Function, Parser};

use crate::text;

/// A line is broken here at the latest: a recording may have none for gigabytes.
const LONGEST: usize = 64 << 10;

/// Makes lines of a stream.
pub struct Lines {
    /// The stream's name, if times are shown.
    what: Option<&'static str>,
    visible: bool,
    parser: Parser,
    cut: Vec<u8>,
    line: String,
    /// When the line began.
    at: Duration,
    /// A carriage return came: a newline may follow, and if not, the line is drawn over.
    returned: bool,
}

impl Lines {
    /// With the stream's name, each line begins with its time and that; `visible`: control sequences are spelt out.
    pub fn new(what: Option<&'static str>, visible: bool) -> Self {
        Self {
            what,
            visible,
            parser: Parser::new(),
            cut: Vec::new(),
            line: String::new(),
            at: Duration::ZERO,
            returned: false,
        }
    }

    /// Takes output; writes the lines that are complete.
    pub fn take(&mut self, at: Duration, bytes: &[u8], out: &mut dyn Write) -> io::Result<()> {
        if self.line.is_empty() {
            self.at = at;
        }
        let mut all = std::mem::take(&mut self.cut);
        all.extend_from_slice(bytes);
        let mut chunks = all.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            for c in chunk.valid().chars() {
                self.character(c, at, out)?;
            }
            let invalid = chunk.invalid();
            let unfinished = std::str::from_utf8(invalid).is_err_and(|e| e.error_len().is_none());
            if chunks.peek().is_none() && unfinished {
                self.cut = invalid.to_vec();
            } else {
                self.invalid(invalid, at, out)?;
            }
        }
        Ok(())
    }

    /// Bytes that are no text: in hex where everything is to be seen.
    fn invalid(&mut self, bytes: &[u8], at: Duration, out: &mut dyn Write) -> io::Result<()> {
        if self.visible {
            for byte in bytes {
                self.line.push_str(&format!("\\x{byte:02x}"));
            }
        } else if !bytes.is_empty() {
            self.character(char::REPLACEMENT_CHARACTER, at, out)?;
        }
        Ok(())
    }

    fn character(&mut self, c: char, at: Duration, out: &mut dyn Write) -> io::Result<()> {
        if self.visible {
            return self.plain(c, at, out);
        }
        match self.parser.feed(c) {
            Some(Function::Print(c)) => self.plain(c, at, out),
            Some(Function::Lf | Function::Nel) => self.plain('\n', at, out),
            Some(Function::Cr) => self.plain('\r', at, out),
            Some(Function::Ht) => self.plain('\t', at, out),
            Some(Function::Bs) => self.plain('\u{8}', at, out),
            // To another place: words that stood apart stay apart.
            Some(
                Function::Cup(..)
                | Function::Vpa(_)
                | Function::Vpr(_)
                | Function::Cnl(_)
                | Function::Cpl(_)
                | Function::Cud(_)
                | Function::Cuu(_)
                | Function::Ri
                | Function::Ris
                | Function::Ed(_)
                | Function::Decset(_)
                | Function::Decrst(_),
            ) => self.apart(out),
            Some(Function::Cha(_) | Function::Cuf(_) | Function::Cht(_)) => {
                self.plain(' ', at, out)
            }
            _ => Ok(()),
        }
    }

    fn plain(&mut self, c: char, at: Duration, out: &mut dyn Write) -> io::Result<()> {
        if c == '\n' {
            self.returned = false;
            self.end_line(out)?;
            self.at = at;
            return Ok(());
        }
        if std::mem::take(&mut self.returned) && !self.line.is_empty() {
            // Drawn over: both are lines here.
            self.end_line(out)?;
        }
        if self.line.is_empty() {
            self.at = at;
        }
        match c {
            '\r' => self.returned = true,
            '\t' => self.line.push('\t'),
            c => self.line.push_str(&text::safe(c.encode_utf8(&mut [0; 4]))),
        }
        if self.line.len() >= LONGEST {
            self.end_line(out)?;
        }
        Ok(())
    }

    /// The cursor goes to another line.
    fn apart(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.line.trim().is_empty() {
            return Ok(());
        }
        self.end_line(out)
    }

    /// The other stream goes on: with times each line belongs to one stream; without, the text is as it came.
    pub fn break_line(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.line.is_empty() {
            return Ok(());
        }
        if self.what.is_some() {
            return self.end_line(out);
        }
        out.write_all(std::mem::take(&mut self.line).as_bytes())
    }

    fn end_line(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if let Some(what) = self.what {
            write!(out, "{} {what} ", stamp(self.at))?;
        }
        writeln!(out, "{}", self.line)?;
        self.line.clear();
        self.returned = false;
        Ok(())
    }

    /// Writes what is left.
    pub fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let cut = std::mem::take(&mut self.cut);
        self.invalid(&cut, self.at, out)?;
        if self.line.is_empty() {
            return Ok(());
        }
        self.end_line(out)
    }
}

/// `00:00:00.000` since the session began.
pub fn stamp(at: Duration) -> String {
    let seconds = at.as_secs();
    format!(
        "{:02}:{:02}:{:02}.{:03}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        at.subsec_millis()
    )
}
