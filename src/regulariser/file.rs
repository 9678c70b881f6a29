//! Regularisers in files: one layer's parameters, or those of all layers, as safetensors in float64.
//!
//! | tensor | type | shape | |
//! |---|---|---|---|
//! | `pattern.starts` | U32 | n + 1 | where each row of Â starts among the entries, and their number |
//! | `pattern.indices` | U32 | entries | the column of each entry, ascending within a row |
//! | `layerK.values` | F64 | entries | Â |
//! | `layerK.q`, `layerK.b` | F64 | n | scales and offsets |
//! | `layerK.activation` | F64 | 4 | eta1, eta2, delta1, delta2 |
//! | `layerK.l` | F64 | 1 | L |
//!
//! for K = 0, or K = 0 to layers - 1 where the layers do not share their parameters. The key `maf-srl` of the
//! metadata holds `{"format":"maf-srl regulariser","version":1,"components":n,"layers":N,"shared":bool}`. Nothing
//! else may be in the file. A number that was changed to another one in its domain cannot be noticed.

use std::collections::HashMap;
use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::Parameters;
use crate::error::{self, Error, Result, shape};
use crate::matrix::{LARGEST, Pattern};
use crate::penalty::Activation;

const KEY: &str = "maf-srl";
const FORMAT: &str = "maf-srl regulariser";
const VERSION: u32 = 1;

/// Layers may be as many as this.
pub const LAYERS: u32 = 4096;

/// The most bytes of a file that is read: [`load`] takes about three times as much memory.
pub const BYTES: u64 = 1 << 30;

/// The most bytes of its header: with a set of parameters for each of [`LAYERS`] layers it has less than half of that.
pub const HEADER: u64 = 1 << 22;

#[derive(serde::Serialize, serde::Deserialize)]
struct Head {
    format: String,
    version: u32,
    components: u32,
    layers: u32,
    shared: bool,
}

/// The file's contents for `layers` layers that share one set of parameters, or have one each. All are on one
/// pattern.
///
/// # Errors
/// [`Error::Shape`] for another number of sets, no layers, more than [`LAYERS`], another pattern, or more numbers than
/// [`BYTES`] hold; what [`Parameters::check`] says of each.
pub fn to_bytes(parameters: &[Parameters], layers: u32) -> Result<Vec<u8>> {
    let place = "regulariser file";
    let shared = parameters.len() == 1;
    let fits = (1..=LAYERS).contains(&layers) && (shared || parameters.len() == layers as usize);
    let Some(first) = parameters.first().filter(|_| fits) else {
        let got = format!("{} for {layers} layers", parameters.len());
        let expected = format!("1, or one for each of 1 to {LAYERS} layers");
        return Err(shape(place, "number of parameter sets", got, expected));
    };
    let pattern = &first.pattern;
    let mut tensors = vec![
        ("pattern.starts".into(), Dtype::U32, words(pattern.starts())),
        ("pattern.indices".into(), Dtype::U32, words(pattern.indices())),
    ];
    for (k, p) in parameters.iter().enumerate() {
        p.check(&format!("layer{k}"))?;
        if p.pattern != *pattern {
            return Err(shape(place, format!("pattern of layer{k}"), "another", "that of layer0"));
        }
        let [l, activation @ ..] = p.head();
        let all: [(&str, &[f64]); 5] =
            [("values", &p.values), ("q", &p.q), ("b", &p.b), ("activation", &activation), ("l", &[l])];
        for (name, numbers) in all {
            let bytes = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
            tensors.push((format!("layer{k}.{name}"), Dtype::F64, bytes));
        }
    }
    let size: usize = tensors.iter().map(|(.., bytes): &(String, Dtype, Vec<u8>)| bytes.len()).sum();
    if size as u64 + HEADER > BYTES {
        let expected = format!("at most {}: no more is read", BYTES - HEADER);
        return Err(shape(place, "number of bytes of all parameters", size, expected));
    }
    let head =
        Head { format: FORMAT.into(), version: VERSION, components: first.components(), layers, shared };
    let failed = |e: &dyn Display| shape(place, "contents", e, "what safetensors can hold");
    let head = serde_json::to_string(&head).map_err(|e| failed(&e))?;
    let views = tensors
        .iter()
        .map(|(name, dtype, bytes)| {
            let size = if *dtype == Dtype::U32 { 4 } else { 8 };
            Ok((name, TensorView::new(*dtype, vec![bytes.len() / size], bytes)?))
        })
        .collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>()
        .map_err(|e| failed(&e))?;
    safetensors::serialize(views, Some(HashMap::from([(KEY.to_string(), head)]))).map_err(|e| failed(&e))
}

/// What [`to_bytes`] has written: the sets of parameters, one if the layers share it, and the number of layers.
/// `path` is for messages.
///
/// # Errors
/// [`Error::File`] for anything else: cut off, another format or version, wrong names, types or shapes, columns out
/// of order or out of range, a diagonal that is not whole, numbers outside their domain. Whether Â is singular is
/// not looked at.
pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<(Vec<Parameters>, u32)> {
    let reader = Reader { path };
    let wrong = |place: &str, reason: String| reader.wrong(place, reason);
    // its text becomes many times as much when it is parsed; one that is not there is not
    let size = bytes.first_chunk().map_or(0, |size| u64::from_le_bytes(*size));
    if size > HEADER && size < bytes.len() as u64 {
        return Err(wrong("bytes 0..8", format!("a header of {size} bytes; at most {HEADER} are read")));
    }
    let (_, about) =
        SafeTensors::read_metadata(bytes).map_err(|e| wrong("header", reason(bytes, &e)).with_source(e))?;
    let file = SafeTensors::deserialize(bytes).map_err(|e| wrong("header", e.to_string()).with_source(e))?;
    let head = about.metadata().as_ref().and_then(|all| all.get(KEY));
    let head = reader.head(head.ok_or_else(|| {
        wrong("metadata", format!("has no key {KEY:?}; the metadata of a regulariser's file has it"))
    })?)?;
    let sets = if head.shared { 1 } else { head.layers };
    let expected = 2 + 5 * u64::from(sets);
    if file.len() as u64 != expected {
        let reason = format!("{} tensors; {sets} sets of parameters have {expected}", file.len());
        return Err(wrong("header", reason));
    }

    let n = head.components as usize;
    let starts = reader.words(&file, "pattern.starts", Some(n + 1))?;
    let indices = reader.words(&file, "pattern.indices", None)?;
    let pattern = Arc::new(reader.pattern(&starts, &indices)?);
    let mut all = Vec::new();
    for k in 0..sets {
        let numbers = |name: &str, length| reader.numbers(&file, &format!("layer{k}.{name}"), length);
        let [values, q, b] = [numbers("values", indices.len())?, numbers("q", n)?, numbers("b", n)?];
        let head = [numbers("activation", 4)?, numbers("l", 1)?].concat();
        let [eta1, eta2, delta1, delta2, l] = std::array::from_fn(|k| head[k]);
        let activation = Activation { eta1, eta2, delta1, delta2 };
        let p = Parameters { pattern: pattern.clone(), values, q, b, activation, l };
        let place = format!("layer{k}");
        p.check(&place).map_err(|e| wrong(&place, within(&place, &e)).with_source(e))?;
        all.push(p);
    }
    Ok((all, head.layers))
}

/// [`from_bytes`] of a file.
///
/// # Errors
/// [`Error::File`] as [`from_bytes`], and for what is no regular file, has more than [`BYTES`] or cannot be read.
pub fn load(path: &Path) -> Result<(Vec<Parameters>, u32)> {
    let failed = |e| error::io(path, "open", e);
    let about = std::fs::metadata(path).map_err(failed)?;
    if !about.is_file() {
        return Err(error::file(path, "open", "not a regular file"));
    }
    if about.len() > BYTES {
        let reason = format!("{} bytes; at most {BYTES} are read", about.len());
        return Err(error::file(path, "length", reason));
    }
    from_bytes(&std::fs::read(path).map_err(failed)?, path)
}

fn words(all: &[u32]) -> Vec<u8> {
    all.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// What is wrong with the header: that bytes are missing, if they are.
fn reason(bytes: &[u8], error: &safetensors::SafeTensorError) -> String {
    use safetensors::SafeTensorError::{HeaderTooSmall, InvalidHeaderLength, MetadataIncompleteBuffer};
    match error {
        HeaderTooSmall | InvalidHeaderLength | MetadataIncompleteBuffer => {
            let bytes = bytes.len();
            format!("the file has {bytes} bytes, and its header says otherwise: cut off, or not safetensors")
        }
        other => format!("{other}; expected safetensors"),
    }
}

/// The message without the place, which the file's error states.
fn within(place: &str, error: &Error) -> String {
    let text = error.to_string();
    text.strip_prefix(&format!("{place}: ")).unwrap_or(&text).into()
}

struct Reader<'a> {
    path: &'a Path,
}

impl Reader<'_> {
    fn wrong(&self, place: impl Display, reason: impl Display) -> Error {
        error::file(self.path, place, reason)
    }

    fn head(&self, text: &str) -> Result<Head> {
        let wrong = |reason: String| self.wrong(format!("metadata {KEY:?}"), reason);
        let about: serde_json::Value =
            serde_json::from_str(text).map_err(|e| wrong(e.to_string()).with_source(e))?;
        if about["format"] != FORMAT {
            return Err(wrong(format!("format {}, expected {FORMAT:?}", about["format"])));
        }
        if about["version"] != VERSION {
            return Err(wrong(format!("version {}, expected {VERSION}", about["version"])));
        }
        let head: Head = serde_json::from_value(about).map_err(|e| wrong(e.to_string()).with_source(e))?;
        for (name, value, most) in [("components", head.components, LARGEST), ("layers", head.layers, LAYERS)]
        {
            if !(1..=most).contains(&value) {
                return Err(wrong(format!("{name} {value}, expected 1 to {most}")));
            }
        }
        Ok(head)
    }

    fn tensor<'d>(
        &self,
        file: &SafeTensors<'d>,
        name: &str,
        dtype: Dtype,
        length: Option<usize>,
    ) -> Result<&'d [u8]> {
        let wrong = |reason: String| self.wrong(format!("tensor {name:?}"), reason);
        let view = file.tensor(name).map_err(|e| wrong("is missing".into()).with_source(e))?;
        if view.dtype() != dtype {
            return Err(wrong(format!("values of type {}, expected {dtype}", view.dtype())));
        }
        match (view.shape(), length) {
            (&[got], Some(length)) if got == length => {}
            (&[_], None) => {}
            (got, _) => {
                let expected = length.map_or("one dimension".into(), |length| format!("[{length}]"));
                return Err(wrong(format!("shape {got:?}, expected {expected}")));
            }
        }
        Ok(view.data())
    }

    fn words(&self, file: &SafeTensors<'_>, name: &str, length: Option<usize>) -> Result<Vec<u32>> {
        let (words, _) = self.tensor(file, name, Dtype::U32, length)?.as_chunks();
        Ok(words.iter().map(|&word| u32::from_le_bytes(word)).collect())
    }

    fn numbers(&self, file: &SafeTensors<'_>, name: &str, length: usize) -> Result<Vec<f64>> {
        let (words, _) = self.tensor(file, name, Dtype::F64, Some(length))?.as_chunks();
        let all: Vec<f64> = words.iter().map(|&word| f64::from_le_bytes(word)).collect();
        if let Some((k, x)) = all.iter().enumerate().find(|(_, x)| !x.is_finite()) {
            return Err(self.wrong(format!("tensor {name:?}"), format!("number {k} is {x}, not finite")));
        }
        Ok(all)
    }

    fn pattern(&self, starts: &[u32], indices: &[u32]) -> Result<Pattern> {
        let rows = starts.len() - 1;
        let wrong = |reason: String| Err(self.wrong("tensor \"pattern.starts\"", reason));
        if starts[0] != 0 || starts[rows] as usize != indices.len() {
            let (first, last, entries) = (starts[0], starts[rows], indices.len());
            return wrong(format!("goes from {first} to {last}, expected 0 to the {entries} entries"));
        }
        if let Some(i) = starts.windows(2).position(|w| w[0] > w[1]) {
            return wrong(format!("row {i} starts at {} and ends at {}", starts[i], starts[i + 1]));
        }
        let wrong = |reason: String| Err(self.wrong("tensor \"pattern.indices\"", reason));
        let mut entries = Vec::with_capacity(indices.len());
        for i in 0..rows {
            let row = &indices[starts[i] as usize..starts[i + 1] as usize];
            if let Some(&j) = row.iter().find(|&&j| j as usize >= rows) {
                return wrong(format!("row {i} has column {j}, expected less than {rows}"));
            }
            if let Some(w) = row.windows(2).find(|w| w[0] >= w[1]) {
                return wrong(format!("row {i} has column {} after {}, expected ascending", w[1], w[0]));
            }
            if row.binary_search(&(i as u32)).is_err() {
                return wrong(format!("row {i} has not the diagonal's column {i}"));
            }
            entries.extend(row.iter().map(|&j| (i as u32, j)));
        }
        let rows = rows as u32;
        Pattern::new(rows, rows, entries).map_err(|e| self.wrong("pattern", &e).with_source(e))
    }
}
