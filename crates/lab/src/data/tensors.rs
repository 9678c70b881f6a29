//! Weight files in and out, whatever their format.

use std::io::{self, Write};
use std::path::Path;

use super::tensor::Part;
use super::{Bytes, Carried, Format, Output, Select, Tensor, Tensors, npy, safetensors};
use maf_srl::error::{self, Error, Result, unsupported};

impl Tensors {
    /// Reads a file: every floating-point tensor, or those that `select` names. Everything else in it is
    /// carried over unchanged.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for an extension, a type, or a file without a tensor to compute with;
    /// [`Error::File`] for a missing or damaged file, and one beyond the [`limits`](super::limits); [`Error::Text`] where `select` matches nothing;
    /// [`Error::Domain`] for an f64 value beyond the range of f32.
    pub fn read(path: &Path, select: Option<&Select>) -> Result<Self> {
        Format::of(path)?;
        Tensors::of(Bytes::open(path)?, select)
    }

    /// The same of bytes.
    ///
    /// # Errors
    /// As [`Tensors::read`].
    pub fn of(file: Bytes<'_>, select: Option<&Select>) -> Result<Self> {
        let path = file.path.clone();
        let tensors = match Format::of(&path)? {
            Format::Npy => npy::read(file, select),
            Format::Safetensors => safetensors::read(file, select),
        }?;
        if tensors.is_empty() {
            let place = path.display().to_string();
            return Err(match select {
                Some(select) => Error::Text {
                    place,
                    text: select.to_string(),
                    reason: "`select` matches no floating-point tensor of this file".into(),
                },
                None => unsupported(
                    place,
                    "the file holds no floating-point tensor",
                    "F16, BF16, F32 and F64 tensors",
                ),
            });
        }
        Ok(tensors)
    }

    /// The file's format.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// The tensors to compute with, in the file's order.
    pub fn iter(&self) -> impl Iterator<Item = &Tensor> {
        self.parts.iter().filter_map(|part| match part {
            Part::Values(tensor) => Some(tensor),
            Part::Carried(_) => None,
        })
    }

    /// The tensors to compute with, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Tensor> {
        self.parts.iter_mut().filter_map(|part| match part {
            Part::Values(tensor) => Some(tensor),
            Part::Carried(_) => None,
        })
    }

    /// Gives tensors of a `.safetensors` file, by name, other values in another shape. Type and place in the file stay,
    /// and so does the metadata; the header is written anew.
    ///
    /// # Errors
    /// [`Error::Shape`] for values that do not fill their shape, and [`Error::Unsupported`] for a `.npy` file or a name
    /// that is none of those computed with; nothing has changed then.
    pub fn replace(&mut self, new: Vec<(String, Vec<usize>, Vec<f32>)>) -> Result<()> {
        let place = |name: &str| format!("{}: tensor {name:?}", self.source.display());
        for (name, shape, values) in &new {
            if self.format != Format::Safetensors || self.iter().all(|tensor| tensor.name() != name) {
                return Err(unsupported(
                    place(name),
                    "it cannot get another shape",
                    "the tensors that were read from a .safetensors file",
                ));
            }
            if shape.iter().product::<usize>() != values.len() {
                let expected = format!("as many as {shape:?} has");
                return Err(error::shape(place(name), "number of values", values.len(), expected));
            }
        }
        for (name, shape, values) in new {
            if let Some(tensor) = self.iter_mut().find(|tensor| tensor.name == name) {
                (tensor.shape, tensor.values) = (shape, values);
            }
        }
        self.header = safetensors::reshaped(&self.source, &self.header, &self.parts)?;
        Ok(())
    }

    /// The tensors that are carried over, in the file's order.
    ///
    /// # Errors
    /// [`Error::File`] for a header that cannot be read, which that of a file that was read can.
    pub fn carried(&self) -> Result<Vec<Carried>> {
        match self.format {
            Format::Npy => Ok(Vec::new()),
            Format::Safetensors => safetensors::carried(&self.source, &self.header, &self.parts),
        }
    }

    /// How many tensors there are to compute with.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Checks that these tensors can be written to `path`, which must be neither their own file nor one of
    /// `inputs` and must have the same format.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for another format; otherwise those of [`Output::new`].
    pub fn output(&self, path: &Path, inputs: &[&Path]) -> Result<Output> {
        let format = Format::of(path)?;
        if format != self.format {
            return Err(unsupported(
                path.display().to_string(),
                format!(
                    "a {} file cannot be written from the {} file {}",
                    format,
                    self.format,
                    self.source.display()
                ),
                self.format.to_string(),
            ));
        }
        Output::new(path, &[inputs, &[&self.source]].concat())
    }

    /// Writes header and values.
    ///
    /// # Errors
    /// Those of [`Output::commit`].
    pub fn write_to(&self, output: Output) -> Result<()> {
        output.commit(|writer| self.encode(writer))
    }

    /// Writes header and values, and reads them back as [`Tensors::read`] does: the file gets its name only where `check`
    /// accepts what was read.
    ///
    /// # Errors
    /// Those of [`Output::commit`], [`Tensors::read`] and `check`; there is no new file then, and an older one stays.
    pub fn write_checked(
        &self,
        output: Output,
        select: Option<&Select>,
        check: impl FnOnce(Tensors) -> Result<()>,
    ) -> Result<()> {
        output.commit_checked(
            |writer| self.encode(writer),
            |path, file, length| {
                let reader = Box::new(io::BufReader::new(file));
                check(Self::of(Bytes { path: path.into(), length, reader }, select)?)
            },
        )
    }

    fn encode(&self, writer: &mut dyn Write) -> io::Result<()> {
        writer.write_all(&self.header)?;
        self.parts.iter().try_for_each(|part| match part {
            Part::Values(tensor) => tensor.encode(writer),
            Part::Carried(bytes) => writer.write_all(bytes),
        })
    }

    /// Writes a file at `path`: [`Tensors::output`], then [`Tensors::write_to`].
    ///
    /// # Errors
    /// Those of the two.
    pub fn write(&self, path: &Path) -> Result<()> {
        self.write_to(self.output(path, &[])?)
    }
}
