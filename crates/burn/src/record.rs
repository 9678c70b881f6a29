//! What an optimiser must remember so that training goes on as if it had not stopped: a file beside the model's.

use std::collections::BTreeMap;
use std::path::Path;

use burn_pack::{Bytes, DType, Reader, Scalar, Tensor, Writer};
use maf_srl::error::{Error, Result, file, shape};
use maf_srl::schedule::{DensityState, Phase};

use crate::control::Remembered;

/// The states and step counts of every parameter, by its path in the module, and the base step that they belong to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SparseRecord {
    /// The base step in text form.
    pub(crate) base: String,
    /// Steps of the module.
    pub(crate) steps: u64,
    /// Whether zeros stayed zeros.
    pub(crate) frozen: bool,
    pub(crate) parameters: BTreeMap<String, Recorded>,
    /// What the controllers of density remember.
    pub(crate) controls: BTreeMap<usize, Remembered>,
}

/// Of one parameter.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Recorded {
    pub steps: u64,
    pub states: Vec<Vec<f32>>,
}

/// Marks in a file whose it is.
const FORMAT: (&str, &str) = ("format", "maf-srl-burn 1");

impl SparseRecord {
    /// How many parameters it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parameters.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parameters.is_empty()
    }

    /// Writes it as burnpack, whole or not at all. A file that is there is replaced.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let mut tensors = Vec::new();
        for (name, of) in &self.parameters {
            for (k, values) in of.states.iter().enumerate() {
                let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
                let name = format!("{name}#{k}");
                tensors.push(Tensor::new(
                    name,
                    DType::F32,
                    [values.len()],
                    None,
                    Bytes::from_bytes_vec(bytes),
                ));
            }
        }
        let mut writer = Writer::new(tensors)
            .overwrite(true)
            .auto_extension(false)
            .with_metadata(FORMAT.0, FORMAT.1)
            .with_metadata("base", &self.base)
            .with_scalar("#steps", Scalar::from(self.steps))
            .with_scalar("#frozen", Scalar::from(self.frozen));
        for (key, of) in &self.controls {
            for (name, scalar) in of.scalars() {
                writer = writer.with_scalar(&format!("#density {key} {name}"), scalar);
            }
        }
        for (name, of) in &self.parameters {
            writer = writer.with_scalar(name, Scalar::from(of.steps));
        }
        writer.write_to_file(path).map_err(|error| file(path, "write", error))
    }

    /// Reads what [`SparseRecord::save`] wrote.
    ///
    /// # Errors
    /// [`Error::File`] for a file that cannot be read, or is none of these.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let reader = Reader::from_file(path).map_err(|error| file(path, "open", error))?;
        let metadata = reader.metadata();
        if metadata.get(FORMAT.0).map(String::as_str) != Some(FORMAT.1) {
            return Err(file(
                path,
                FORMAT.0,
                format!("no record of this optimiser, which says {:?}", FORMAT.1),
            ));
        }
        let base = metadata.get("base").cloned().unwrap_or_default();
        let (mut steps, mut frozen, mut parameters) = (0, false, BTreeMap::new());
        let mut controls = BTreeMap::<usize, Remembered>::new();
        for (name, &scalar) in reader.scalars() {
            match (name.as_str(), scalar) {
                ("#steps", Scalar::UInt(number)) => steps = number,
                ("#frozen", Scalar::Bool(is)) => frozen = is,
                (name, scalar) if name.starts_with("#density ") => {
                    let mut words = name.split(' ').skip(1);
                    let (key, what) = (words.next().and_then(|key| key.parse().ok()), words.next());
                    let taken = key.zip(what).is_some_and(|(key, what)| {
                        controls.entry(key).or_insert(Remembered::NONE).take(what, scalar)
                    });
                    if !taken {
                        return Err(file(
                            path,
                            name,
                            format!("{scalar:?}, which no controller of density has"),
                        ));
                    }
                }
                (_, Scalar::UInt(steps)) => {
                    parameters.insert(name.clone(), Recorded { steps, states: Vec::new() });
                }
                _ => return Err(file(path, name, format!("{scalar:?} in the place of a number of steps"))),
            }
        }
        let mut tensors = reader.into_tensors().map_err(|error| file(path, "tensors", error))?;
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        for tensor in tensors {
            let name = tensor.name.clone();
            let of = name.rsplit_once('#').and_then(|(of, _)| parameters.get_mut(of));
            let (Some(of), DType::F32) = (of, tensor.dtype) else {
                return Err(file(path, name, "no state in f32 of a parameter that has a number of steps"));
            };
            let bytes = tensor.into_bytes().map_err(|error| file(path, &name, error))?;
            let values = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            of.states.push(values.collect());
        }
        Ok(SparseRecord { base, steps, frozen, parameters, controls })
    }

    /// Checks that it is of this base step.
    pub(crate) fn fits(&self, base: &str) -> Result<()> {
        if self.base == base {
            return Ok(());
        }
        Err(Error::Text {
            place: "optimiser's record".into(),
            text: self.base.clone(),
            reason: format!("the states of another base step than {base}"),
        })
    }
}

impl Remembered {
    /// Before the first step.
    const NONE: Self = Remembered {
        state: DensityState { log_scale: 0.0, error: 0.0, step: 0, phase: Phase::Follows },
        last: (0, 1.0),
        count: None,
    };

    /// All of it, by name.
    fn scalars(&self) -> Vec<(&'static str, Scalar)> {
        let DensityState { log_scale, error, step, phase } = self.state;
        let mut all = vec![
            ("log-scale", Scalar::from(log_scale)),
            ("error", Scalar::from(error)),
            ("step", Scalar::from(step)),
            ("phase", Scalar::from(PHASES.iter().position(|of| *of == phase).unwrap_or(0) as u64)),
            ("last-step", Scalar::from(self.last.0)),
            ("last-share", Scalar::from(self.last.1)),
        ];
        if let Some((step, share)) = self.count {
            all.extend([("count-step", Scalar::from(step)), ("count-share", Scalar::from(share))]);
        }
        all
    }

    /// Takes one of them in; false where there is no such.
    fn take(&mut self, name: &str, scalar: Scalar) -> bool {
        let count = self.count.unwrap_or_default();
        match (name, scalar) {
            ("log-scale", Scalar::Float(value)) => self.state.log_scale = value,
            ("error", Scalar::Float(value)) => self.state.error = value,
            ("step", Scalar::UInt(step)) => self.state.step = step,
            ("phase", Scalar::UInt(number)) => match PHASES.get(number as usize) {
                Some(&phase) => self.state.phase = phase,
                None => return false,
            },
            ("last-step", Scalar::UInt(step)) => self.last.0 = step,
            ("last-share", Scalar::Float(share)) => self.last.1 = share,
            ("count-step", Scalar::UInt(step)) => self.count = Some((step, count.1)),
            ("count-share", Scalar::Float(share)) => self.count = Some((count.0, share)),
            _ => return false,
        }
        true
    }
}

/// By their numbers in a file.
const PHASES: [Phase; 5] = [Phase::Follows, Phase::Holds, Phase::Approaches, Phase::Met, Phase::Passed];

impl Recorded {
    /// Checks that a parameter of so many states of so many elements can take it.
    pub fn fits(&self, path: &str, states: usize, elements: u64) -> Result<()> {
        if self.states.len() != states {
            return Err(shape(path, "number of states in the record", self.states.len(), states));
        }
        match self.states.iter().find(|values| values.len() as u64 != elements) {
            None => Ok(()),
            Some(values) => Err(shape(path, "length of a state in the record", values.len(), elements)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_from_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("optim.bpk");
        let one = Recorded { steps: 7, states: vec![vec![1.0, -0.0], vec![f32::MIN_POSITIVE, 3.0]] };
        let parameters =
            [("fc.weight".to_string(), one), ("fc.bias".to_string(), Recorded { steps: 1, states: vec![] })];
        let state = DensityState { log_scale: -0.1, error: 1.0 / 3.0, step: 7, phase: Phase::Approaches };
        let controls = [
            (1, Remembered { state, last: (5, 0.1), count: Some((10, 0.2)) }),
            (usize::MAX, Remembered::NONE),
        ];
        let record = SparseRecord {
            base: "adam".into(),
            steps: 12,
            frozen: true,
            parameters: parameters.into(),
            controls: controls.into(),
        };
        record.save(&path).unwrap();
        record.save(&path).unwrap();
        let read = SparseRecord::load(&path).unwrap();
        assert_eq!(read, record);
        assert!(read.parameters["fc.weight"].states[0][1].is_sign_negative());
        assert!(read.fits("adam").is_ok() && read.fits("gradient").is_err());

        std::fs::write(&path, b"no burnpack").unwrap();
        assert!(matches!(SparseRecord::load(&path), Err(Error::File { .. })));
        assert!(matches!(SparseRecord::load(folder.path().join("none.bpk")), Err(Error::File { .. })));
    }
}
