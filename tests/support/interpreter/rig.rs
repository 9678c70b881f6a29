//! The register's cases, their dispatches interpreted.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use maf_srl::kernels::{Case, Outcome, PipelineCache};

use super::arithmetic::Arithmetic;
use super::code::Program;
use super::compile::compile;
use super::files::texts;
use super::host;
use super::machine::{Finding, Setting};

/// The shader files by their paths from `shaders/`.
pub struct Shaders(pub BTreeMap<String, String>);

impl Shaders {
    /// # Panics
    /// Where they cannot be read.
    pub fn load() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
        let name =
            |path: &Path| path.strip_prefix(&root).expect("a file of the folder").display().to_string();
        Shaders(texts(&root).into_iter().map(|(path, text)| (name(&path), text)).collect())
    }

    /// A line of a composed source, as `file:line: text`.
    fn place(&self, source: &str, line: u32) -> String {
        let at = line.saturating_sub(1);
        let text = source.lines().nth(at as usize).unwrap_or_default().trim();
        for (name, file) in &self.0 {
            let Some(start) = source.find(file.as_str()) else { continue };
            let first = source[..start].matches('\n').count() as u32;
            if (first..first + file.lines().count() as u32).contains(&at) {
                return format!("{name}:{}: {text}", line - first);
            }
        }
        format!("line {line}: {text}")
    }

    fn in_words(&self, name: &str, source: &str, finding: &Finding) -> String {
        let mut text = format!("{name}: {:?}", finding.what);
        for (line, variable) in &finding.lines {
            write!(text, "\n    {variable} at {}", self.place(source, *line)).expect("a String takes all");
        }
        text
    }
}

/// A text in place of a shader file's, with as many lines.
#[derive(Clone, Debug)]
pub struct Edit {
    pub file: String,
    pub by: String,
}

/// A device that does nothing but copy, on which dispatches are interpreted.
pub struct Rig {
    device: wgpu::Device,
    queue: wgpu::Queue,
    shaders: Arc<Shaders>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Rig {
    pub fn new(shaders: &Arc<Shaders>) -> Self {
        let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
        Rig { device, queue, shaders: shaders.clone() }
    }

    /// The variants that a case dispatches, `kernel/variant`, without running them.
    ///
    /// # Panics
    /// Where a case cannot be bound.
    pub fn dispatched(&self, case: &dyn Case) -> BTreeSet<String> {
        let names = Arc::new(Mutex::new(BTreeSet::new()));
        let kernels = PipelineCache::new(&self.device).interpreted({
            let names = names.clone();
            move |dispatch| _ = locked(&names).insert(dispatch.name.to_owned())
        });
        // that the results are wrong is no surprise
        case.run(&self.device, &self.queue, &kernels).map(drop).expect("a device that copies");
        std::mem::take(&mut locked(&names))
    }

    /// What a case finds, and in words what its dispatches do that none may.
    ///
    /// # Panics
    /// Where a case cannot be bound, and where a kernel has what the interpreter does not know.
    pub fn run(&self, case: &dyn Case, setting: Setting, edit: Option<&Edit>) -> (Outcome, BTreeSet<String>) {
        self.run_on(PipelineCache::new(&self.device), case, setting, edit)
    }

    /// The same of kernels that a cache edits.
    ///
    /// # Panics
    /// As [`Rig::run`].
    pub fn run_edited(&self, edit: fn(String) -> String, case: &dyn Case, setting: Setting) -> Outcome {
        self.run_on(PipelineCache::edited(&self.device, edit), case, setting, None).0
    }

    fn run_on(
        &self,
        kernels: PipelineCache,
        case: &dyn Case,
        setting: Setting,
        edit: Option<&Edit>,
    ) -> (Outcome, BTreeSet<String>) {
        let found = Arc::new(Mutex::new(BTreeSet::new()));
        let programs: Mutex<HashMap<String, Program>> = Mutex::default();
        let kernels = kernels.interpreted({
            let (device, queue, shaders) = (self.device.clone(), self.queue.clone(), self.shaders.clone());
            let (found, edit) = (found.clone(), edit.cloned());
            move |dispatch| {
                let mut found = locked(&found);
                if setting.hasty && !found.is_empty() {
                    return;
                }
                let mut programs = locked(&programs);
                let program = programs.entry(dispatch.name.to_owned()).or_insert_with(|| {
                    let edited = edit.as_ref().map(|edit| dispatch.source.replacen(&edit.file, &edit.by, 1));
                    let source = edited.as_deref().unwrap_or(dispatch.source);
                    let fuses = Arithmetic::fuses(setting.rounding);
                    compile(source, dispatch.entry, dispatch.invocations, fuses)
                });
                let findings = host::run(&device, &queue, program, dispatch, setting);
                found
                    .extend(findings.iter().map(|one| shaders.in_words(dispatch.name, dispatch.source, one)));
            }
        });
        let outcome = case.run(&self.device, &self.queue, &kernels).expect("a device that copies");
        (outcome, std::mem::take(&mut locked(&found)))
    }
}
