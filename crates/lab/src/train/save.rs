//! The folder of a run: `results.json`, weights, charts.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ndarray::Array2;
use ndarray_npy::WriteNpyExt;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, serialize};
use serde::Serialize;

use super::mlp::Mlp;
use crate::data::{prepare, save};
use maf_srl::error::{self, Error, Result};

/// What the files of a folder's run are listed in, one per line, each before it is written.
const LIST: &str = ".written";

/// Where a run's files go. Each file is written whole or not at all.
///
/// No folder mixes the files of two runs: before the first file is written, those that an earlier run of the same name has
/// listed as its own are removed. Until then all of them are there, and files of others stay.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// What this run has written.
    written: RefCell<Vec<String>>,
    /// What an earlier run left and this one has not written again.
    removed: RefCell<BTreeSet<String>>,
}

impl Folder {
    /// Makes `out/name`, for a run that reads `inputs`.
    ///
    /// # Errors
    /// [`Error::Text`] for a name that is no plain file name, [`Error::File`] where the folder cannot be made or an input
    /// lies in it.
    pub fn new(out: &Path, name: &str, inputs: &[&Path]) -> Result<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty() || name.len() > 100 || name.starts_with('.') || !name.chars().all(plain) {
            return Err(Error::Text {
                place: "`name`".into(),
                text: name.into(),
                reason:
                    "a run's name has 1 to 100 letters, digits, '-', '_' or '.', and does not begin with '.'"
                        .into(),
            });
        }
        let path = out.join(name);
        let inside = |input: &&Path| {
            let (Ok(input), Ok(folder)) = (input.canonicalize(), path.canonicalize()) else { return false };
            input.parent() == Some(folder.as_path())
        };
        if let Some(input) = inputs.iter().find(|input| inside(input)) {
            let reason = format!("lies in {}, whose files the run replaces; `name` another", path.display());
            return Err(error::file(*input, "read", reason));
        }
        prepare(&path, "results.json")?;
        Ok(Folder { path, written: RefCell::default(), removed: RefCell::default() })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many files of an earlier run are gone that this one has not written again.
    #[must_use]
    pub fn removed(&self) -> usize {
        self.removed.borrow().len()
    }

    /// Writes one file.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be written, or what an earlier run left cannot be removed.
    pub fn write(&self, file: &str, bytes: &[u8]) -> Result<()> {
        let mut written = self.written.borrow_mut();
        if written.is_empty() {
            *self.removed.borrow_mut() = self.clear()?;
        }
        if !written.iter().any(|known| known == file) {
            written.push(file.into());
            save(&self.path, LIST, (written.join("\n") + "\n").as_bytes())?;
        }
        self.removed.borrow_mut().remove(file);
        save(&self.path, file, bytes)
    }

    /// Removes what an earlier run has listed.
    fn clear(&self) -> Result<BTreeSet<String>> {
        let list = self.path.join(LIST);
        let names = match fs::read_to_string(&list) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            names => names.map_err(|e| error::io(&list, "read", e))?,
        };
        let mut removed = BTreeSet::new();
        for name in names.lines() {
            let path = self.path.join(name);
            // a list that someone has changed leads nowhere else
            let ours = path.parent() == Some(self.path.as_path())
                && path.symlink_metadata().is_ok_and(|m| m.is_file());
            if ours {
                fs::remove_file(&path).map_err(|e| error::io(&path, "remove", e))?;
                removed.insert(name.to_owned());
            }
        }
        Ok(removed)
    }

    /// Writes a document as JSON.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be written.
    pub fn write_json<T: Serialize>(&self, file: &str, document: &T) -> Result<()> {
        let mut text = serde_json::to_string_pretty(document).map_err(|e| self.unwritten(file, e))?;
        text.push('\n');
        self.write(file, text.as_bytes())
    }

    /// Writes a matrix as `.npy`, in f32.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be written.
    pub fn write_matrix(&self, file: &str, matrix: &Array2<f64>) -> Result<()> {
        let mut bytes = Vec::new();
        matrix.mapv(|v| v as f32).write_npy(&mut bytes).map_err(|e| self.unwritten(file, e))?;
        self.write(file, &bytes)
    }

    /// Writes a chart, where there is one.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be written.
    pub fn write_chart(&self, file: &str, chart: Option<String>) -> Result<()> {
        chart.map_or(Ok(()), |svg| self.write(file, svg.as_bytes()))
    }

    fn unwritten(&self, file: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
        error::file(self.path.join(file), "write", &error).with_source(error)
    }

    /// Writes a network as safetensors: `layers.K.weight` `[outputs, inputs]` and `layers.K.bias`, in f32.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be written.
    pub fn write_network(&self, file: &str, network: &Mlp, about: HashMap<String, String>) -> Result<()> {
        let failed = |e: safetensors::SafeTensorError| self.unwritten(file, e);
        let weights = network.weights();
        let tensors = network.tensors();
        let bytes: Vec<Vec<u8>> =
            tensors.iter().map(|t| t.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
        let mut views = Vec::with_capacity(tensors.len());
        for (k, pair) in bytes.chunks_exact(2).enumerate() {
            let (rows, columns) = weights[k].dim();
            for (part, shape, bytes) in
                [("weight", vec![rows, columns], &pair[0]), ("bias", vec![rows], &pair[1])]
            {
                let view = TensorView::new(Dtype::F32, shape, bytes).map_err(failed)?;
                views.push((format!("layers.{k}.{part}"), view));
            }
        }
        self.write(file, &serialize(views, Some(about)).map_err(failed)?)
    }
}

/// A method's name as part of a file's name: `tl1(a=0.5)` becomes `tl1-a-0.5`.
#[must_use]
pub fn file_stem(method: &str) -> String {
    let parts = method.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.'));
    parts.filter(|p| !p.is_empty()).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["", "..", "a/b", ".hidden", "a b"] {
            assert!(matches!(Folder::new(folder.path(), name, &[]), Err(Error::Text { .. })), "{name}");
        }
        assert_eq!(file_stem("tl1( a = 0.5 )"), "tl1-a-0.5");
        assert_eq!(file_stem("capped-l1"), "capped-l1");
    }

    #[test]
    fn a_folder_has_the_files_of_one_run_alone() {
        let out = tempfile::tempdir().unwrap();
        let at = |name: &str| out.path().join("run").join(name);
        let listing = || {
            let names = fs::read_dir(out.path().join("run")).unwrap();
            let mut names: Vec<_> = names.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        let begin = || Folder::new(out.path(), "run", &[]).unwrap();
        let first = begin();
        for file in ["a.svg", "l1-seed0.safetensors", "results.json"] {
            first.write(file, b"first").unwrap();
        }
        assert_eq!(first.removed(), 0);
        fs::write(at("mine.safetensors"), "mine").unwrap();
        let outside = out.path().join("outside");
        fs::write(&outside, "outside").unwrap();
        fs::write(
            at(LIST),
            fs::read_to_string(at(LIST)).unwrap() + "../outside\n" + outside.to_str().unwrap(),
        )
        .unwrap();

        // nothing has gone before there is something new
        let second = begin();
        assert_eq!(listing(), [LIST, "a.svg", "l1-seed0.safetensors", "mine.safetensors", "results.json"]);
        second.write("tl1-seed0.safetensors", b"second").unwrap();
        assert_eq!(listing(), [LIST, "mine.safetensors", "tl1-seed0.safetensors"]);
        assert_eq!(second.removed(), 3);
        second.write("results.json", b"second").unwrap();
        second.write("results.json", b"again").unwrap();
        assert_eq!(second.removed(), 2);
        assert_eq!(listing(), [LIST, "mine.safetensors", "results.json", "tl1-seed0.safetensors"]);
        assert_eq!(fs::read(at("mine.safetensors")).unwrap(), b"mine");
        assert_eq!(fs::read(&outside).unwrap(), b"outside");

        // what a run reads is none of what it replaces
        let input = at("mine.safetensors");
        let error = Folder::new(out.path(), "run", &[&outside, &input]).unwrap_err().to_string();
        assert!(error.contains("mine.safetensors") && error.contains("`name`"), "{error}");
        Folder::new(out.path(), "other", &[&outside, &input]).unwrap();
    }

    #[test]
    fn weights_come_back_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let run = Folder::new(folder.path(), "run", &[]).unwrap();
        let network = Mlp::new(&[3, 4, 2], 1, &mut rand_chacha::ChaCha8Rng::seed_from_u64(1));
        run.write_network("w.safetensors", &network, HashMap::new()).unwrap();
        let read = crate::data::Tensors::read(&run.path().join("w.safetensors"), None).unwrap();
        let mut read: Vec<_> =
            read.iter().map(|t| (t.name().to_owned(), t.shape().to_vec(), t.values().to_vec())).collect();
        read.sort_by(|a, b| a.0.cmp(&b.0));
        let names: Vec<_> = read.iter().map(|t| t.0.as_str()).collect();
        assert_eq!(names, ["layers.0.bias", "layers.0.weight", "layers.1.bias", "layers.1.weight"]);
        assert_eq!(read[1].1, [4, 3]);
        assert_eq!(read[1].2, network.tensors()[0]);
        assert_eq!(read[2].2, network.tensors()[3]);
    }
}
