//! Output files, written whole or not at all.

use std::fs;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::part::{self, PartFile};
use super::{trouble, unread};
use maf_srl::error::{self, Error, Result};

/// Bytes that are written or read at a time.
const BUFFER: usize = 1 << 18;

/// A place for an output file, checked before the work starts.
///
/// The bytes go to a temporary file in the same folder, which takes the output's name once all of them are on
/// disk. Until then nothing but the temporary file has changed, and the inputs never do. What an interrupted process left
/// of such files in the folder is removed: [`removed`](super::removed) names it.
#[derive(Debug)]
pub struct Output {
    /// As it was asked for: what errors name.
    path: PathBuf,
    target: PathBuf,
    kept: Option<fs::Permissions>,
}

impl Output {
    /// Checks that a file can be written at `path` and that it is none of `inputs`, symbolic links resolved.
    ///
    /// # Errors
    /// [`maf_srl::Error::File`] where `path` is one of the inputs, a folder, a device, read-only, or in a folder
    /// that is missing or refuses new files.
    pub fn new(path: &Path, inputs: &[&Path]) -> Result<Self> {
        let mut output = Output { path: path.into(), target: path.into(), kept: None };
        // A target that exists is replaced where it really lies, so that a symbolic link stays one.
        if let Ok(real) = path.canonicalize() {
            let same = |input: &&Path| input.canonicalize().is_ok_and(|input| input == real);
            if let Some(input) = inputs.iter().find(|i| same(i)) {
                let reason =
                    format!("is the same file as the input {}; the input is never touched", input.display());
                return Err(trouble(path, "write", reason));
            }
            let about = fs::metadata(&real).map_err(|e| unread(path, "write", e))?;
            if !about.is_file() {
                return Err(trouble(path, "write", "exists and is not a regular file"));
            }
            if about.permissions().readonly() {
                return Err(trouble(path, "write", "exists and is read-only"));
            }
            output = Output { target: real, kept: Some(about.permissions()), ..output };
        } else if let Ok(nowhere) = fs::read_link(path) {
            // neither replaced nor followed, as by cp
            let reason = format!("is a symbolic link to {}, which does not exist", nowhere.display());
            return Err(trouble(path, "write", reason));
        }
        let folder = folder(&output.target);
        part::sweep(folder);
        // the kind of error alone: its text would name the temporary file
        PartFile::new(folder).map_err(|e| output.unwritten(e.kind().into()))?;
        Ok(output)
    }

    /// Writes the file: `fill` gets a buffered writer, and the file appears when it is done.
    ///
    /// # Errors
    /// [`maf_srl::Error::File`] where writing fails; the temporary file is removed and an older output kept.
    pub fn commit(self, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
        self.commit_checked(fill, |_, _, _| Ok(()))
    }

    /// As [`Output::commit`], but `check` decides whether the file appears. It gets the output's path, for messages, what
    /// was written, from the beginning, and its length.
    ///
    /// # Errors
    /// Those of [`Output::commit`], and what `check` says.
    pub fn commit_checked(
        self,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
        check: impl FnOnce(&Path, &mut dyn Read, u64) -> Result<()>,
    ) -> Result<()> {
        let unwritten = |e: io::Error| self.unwritten(e);
        let part = PartFile::new(folder(&self.target)).map_err(unwritten)?;
        let write = || -> io::Result<u64> {
            let mut buffered = BufWriter::with_capacity(BUFFER, part.file());
            fill(&mut buffered)?;
            let mut file = buffered.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.sync_all()?;
            let length = file.stream_position()?;
            file.rewind()?;
            Ok(length)
        };
        let length = write().map_err(unwritten)?;
        check(&self.target, &mut BufReader::with_capacity(BUFFER, part.file()), length)?;
        let publish = || -> io::Result<()> {
            if let Some(kept) = &self.kept {
                part.file().set_permissions(kept.clone())?;
            }
            part.persist(&self.target)
        };
        publish().map_err(unwritten)
    }

    fn unwritten(&self, error: io::Error) -> Error {
        let folder = folder(&self.target);
        if error.kind() == io::ErrorKind::NotFound && !folder.is_dir() {
            let reason = format!("there is no folder {}", folder.display());
            return trouble(&self.path, "write", reason).with_source(error);
        }
        error::io(&self.path, "write", error)
    }
}

/// The folder that a file lies in.
fn folder(target: &Path) -> &Path {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes `folder` where it is missing. One that does not take the file `name` is found now rather than after the work.
///
/// # Errors
/// [`maf_srl::Error::File`] where the folder or the file cannot be written.
pub fn prepare(folder: &Path, name: &str) -> Result<()> {
    make(folder)?;
    Output::new(&folder.join(name), &[]).map(drop)
}

/// Writes `contents` as the file `name` into `folder`, which is created where it is missing.
///
/// # Errors
/// [`maf_srl::Error::File`] where the folder or the file cannot be written.
pub fn save(folder: &Path, name: &str, contents: &[u8]) -> Result<()> {
    make(folder)?;
    Output::new(&folder.join(name), &[])?.commit(|file| file.write_all(contents))
}

/// Makes a folder, and those above it, where it is missing.
///
/// # Errors
/// [`maf_srl::Error::File`] where that cannot be done.
pub fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => {
            trouble(folder, "create", "exists and is not a folder").with_source(e)
        }
        _ => error::io(folder, "create", e),
    })
}
