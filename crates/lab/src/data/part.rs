//! Unfinished files: the bytes of an output before it gets its name.
//!
//! They lie beside the output, under names that begin with `.maf-srl-` and end with `.part`. None is to outlive its
//! process: one is removed where writing fails, [`discard`] removes all of them when a signal ends the process, and what
//! a process left that ended without a word (killed, or with its machine) is removed by the next one that writes into the
//! folder. A process holds a lock on the file that it writes, which ends with it: what can be locked is left over.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tempfile::NamedTempFile;

const PREFIX: &str = ".maf-srl-";
const SUFFIX: &str = ".part";
/// Letters and digits between the two.
const RANDOM: usize = 6;

/// What the process has to do with unfinished files.
struct Parts {
    /// Those that it writes.
    own: BTreeSet<PathBuf>,
    /// Those of others that it has removed.
    removed: Vec<PathBuf>,
}

static PARTS: Mutex<Parts> = Mutex::new(Parts { own: BTreeSet::new(), removed: Vec::new() });

/// A panic elsewhere does not make the lists wrong.
fn parts() -> MutexGuard<'static, Parts> {
    PARTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes the unfinished files of this process, which must end after that: none is begun or finished any more, and who
/// tries waits forever.
pub fn discard() {
    let parts = parts();
    for path in &parts.own {
        // it may have got its name, or been removed, by now
        let _ = fs::remove_file(path);
    }
    std::mem::forget(parts);
}

/// The unfinished files of earlier processes that this one has removed since it was last asked.
#[must_use]
pub fn removed() -> Vec<PathBuf> {
    std::mem::take(&mut parts().removed)
}

/// Removes the unfinished files in a folder that no process writes any more. What cannot be opened or locked stays: it may
/// be another user's, or the file system has no locks.
pub(super) fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let regular = entry.file_type().is_ok_and(|kind| kind.is_file());
        if !regular || !is_part(&entry.file_name()) {
            continue;
        }
        let path = entry.path();
        // for writing, as an exclusive lock over a network demands it
        let Ok(file) = OpenOptions::new().read(true).write(true).open(&path) else { continue };
        if is_left(&file) && fs::remove_file(&path).is_ok() {
            parts().removed.push(path);
        }
    }
}

/// Whether no process writes a file any more; then it is locked.
fn is_left(file: &File) -> bool {
    let locked = file.try_lock().is_ok();
    let empty = file.metadata().is_ok_and(|about| about.len() == 0);
    if !locked || !empty {
        return locked;
    }
    // One that has just been made has yet to be locked by its owner.
    let _ = file.unlock();
    std::thread::sleep(Duration::from_millis(100));
    file.try_lock().is_ok()
}

fn is_part(name: &OsStr) -> bool {
    let random = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX));
    random.is_some_and(|random| random.len() == RANDOM && random.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// An unfinished file; removed when dropped.
pub(super) struct PartFile {
    file: NamedTempFile,
    /// Dropped after the file: until it is gone, `discard` must know of it.
    known: Known,
}

/// A file is one of the process's own for as long.
struct Known(PathBuf);

impl PartFile {
    pub fn new(folder: &Path) -> io::Result<Self> {
        loop {
            let part = Self::create(folder)?;
            // Between the two another process may have locked it, and even removed it as one that was left. Where there are
            // no locks, nobody does.
            let swept = matches!(part.file().try_lock(), Err(TryLockError::WouldBlock));
            if !swept && part.known.0.exists() {
                return Ok(part);
            }
        }
    }

    fn create(folder: &Path) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX).suffix(SUFFIX).rand_bytes(RANDOM);
        #[cfg(unix)]
        {
            // As for any new file: all may read and write, less the umask.
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        // no file that `discard` does not know of
        let mut parts = parts();
        let file = builder.tempfile_in(folder)?;
        let path = file.path().to_owned();
        parts.own.insert(path.clone());
        Ok(PartFile { file, known: Known(path) })
    }

    pub fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Gives the file its name.
    pub fn persist(self, target: &Path) -> io::Result<()> {
        let PartFile { file, known: _known } = self;
        file.persist(target)?;
        Ok(())
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        parts().own.remove(&self.0);
    }
}
