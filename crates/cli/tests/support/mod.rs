//! What several test programs share: the tool in a folder of its own, and the files that it reads and writes.

#![allow(dead_code, reason = "each test program compiles its own copy and uses a part of it")]

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::Value;
use tempfile::TempDir;

/// A tensor of a file: name, type, shape and values.
pub type Entry<'a> = (&'a str, Dtype, &'a [usize], &'a [f32]);

/// The values as the file holds them.
pub fn bytes(dtype: Dtype, values: &[f32]) -> Vec<u8> {
    let one = |&v: &f32| match dtype {
        Dtype::F16 => f16::from_f32(v).to_le_bytes().to_vec(),
        Dtype::BF16 => bf16::from_f32(v).to_le_bytes().to_vec(),
        Dtype::F64 => f64::from(v).to_le_bytes().to_vec(),
        Dtype::I32 => (v as i32).to_le_bytes().to_vec(),
        Dtype::I64 => (v as i64).to_le_bytes().to_vec(),
        // eight bits, of whatever meaning
        Dtype::BOOL | Dtype::U8 | Dtype::I8 | Dtype::F8_E4M3 | Dtype::F8_E5M2 => vec![v as u8],
        _ => v.to_le_bytes().to_vec(),
    };
    values.iter().flat_map(one).collect()
}

/// A temporary folder with the tool running in it.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Self {
        Place(tempfile::tempdir().expect("a temporary folder"))
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.at(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).expect("a text")
    }

    pub fn npy(&self, name: &str, shape: &[usize], values: &[f32]) {
        let array = ndarray::ArrayD::from_shape_vec(shape, values.to_vec()).expect("a shape");
        ndarray_npy::write_npy(self.at(name), &array).expect("written");
    }

    pub fn read_npy(&self, name: &str) -> Vec<f32> {
        ndarray_npy::read_npy::<_, ndarray::ArrayD<f32>>(self.at(name)).expect("reads").into_iter().collect()
    }

    /// Writes a `.safetensors` file.
    pub fn model(&self, name: &str, entries: &[Entry], about: Option<HashMap<String, String>>) {
        let data: Vec<_> = entries.iter().map(|(_, dtype, _, values)| bytes(*dtype, values)).collect();
        let views = entries.iter().zip(&data).map(|((name, dtype, shape, _), data)| {
            (*name, TensorView::new(*dtype, shape.to_vec(), data).expect("a view"))
        });
        fs::write(self.at(name), safetensors::serialize(views, about).expect("serialized")).expect("written");
    }

    /// The values of an f32 tensor of a `.safetensors` file.
    pub fn tensor(&self, file: &str, name: &str) -> Vec<f32> {
        let bytes = self.read(file);
        let model = safetensors::SafeTensors::deserialize(&bytes).expect("a model");
        let tensor = model.tensor(name).expect("there");
        tensor.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    }

    /// Runs the tool with arguments separated by blanks.
    pub fn run(&self, arguments: &str) -> Output {
        self.run_words(&arguments.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs the tool with these arguments.
    pub fn run_words(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_maf-srl"))
            .args(arguments)
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .output()
            .expect("the tool runs")
    }

    /// The document that the tool prints.
    #[track_caller]
    pub fn json(&self, arguments: &str) -> Value {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        document(&output)
    }

    /// The document in a file.
    pub fn document(&self, name: &str) -> Value {
        serde_json::from_slice(&self.read(name)).expect("one JSON document")
    }

    /// The file is a chart with all of these words.
    #[track_caller]
    pub fn shows(&self, name: &str, words: &[&str]) {
        let svg = self.text(name);
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{name}");
        for word in words {
            assert!(svg.contains(word), "{name}: {word}");
        }
    }

    /// The names of the files in the folder.
    pub fn listing(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("a listing").flatten();
        let mut names: Vec<_> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Status 2, and as [`Place::fails`].
    #[track_caller]
    pub fn refuses(&self, arguments: &str, parts: &[&str]) {
        self.fails(2, arguments, parts);
    }

    /// That exit status, nothing on stdout, one line on stderr with all of `parts`, and no new file.
    #[track_caller]
    pub fn fails(&self, status: i32, arguments: &str, parts: &[&str]) {
        let before = self.listing();
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{arguments}: {said}");
        assert!(output.stdout.is_empty(), "{arguments}");
        assert!(said.starts_with("maf-srl: ") && said.ends_with('\n'), "{arguments}: {said:?}");
        assert_eq!(said.lines().count(), 1, "{arguments}: {said:?}");
        assert!(!said.contains("panicked") && !said.contains("RUST_BACKTRACE"), "{arguments}: {said}");
        for part in parts {
            assert!(said.contains(part), "{arguments}: {part:?} is not in {said:?}");
        }
        assert_eq!(self.listing(), before, "{arguments}");
    }
}

/// The document that a run has printed.
#[track_caller]
pub fn document(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("stdout is one JSON document")
}
