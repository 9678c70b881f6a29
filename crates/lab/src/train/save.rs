//! The folder of a run: `results.json`, weights, charts.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use ndarray::Array2;
use ndarray_npy::WriteNpyExt;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, serialize};
use serde::Serialize;

use super::mlp::Mlp;
use crate::data::{prepare, save};
use maf_srl::error::{self, Error, Result};

/// Where a run's files go. Each file is written whole or not at all; those of an older run of the same name are
/// replaced.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes `out/name`.
    ///
    /// # Errors
    /// [`Error::Text`] for a name that is no plain file name, [`Error::File`] where the folder cannot be made.
    pub fn new(out: &Path, name: &str) -> Result<Self> {
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
        prepare(&path, "results.json")?;
        Ok(Folder(path))
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes one file.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be written.
    pub fn write(&self, file: &str, bytes: &[u8]) -> Result<()> {
        save(&self.0, file, bytes)
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
        error::file(self.0.join(file), "write", &error).with_source(error)
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
            assert!(matches!(Folder::new(folder.path(), name), Err(Error::Text { .. })), "{name}");
        }
        assert_eq!(file_stem("tl1( a = 0.5 )"), "tl1-a-0.5");
        assert_eq!(file_stem("capped-l1"), "capped-l1");
    }

    #[test]
    fn weights_come_back_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let run = Folder::new(folder.path(), "run").unwrap();
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
