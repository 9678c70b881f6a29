//! `maf-srl devices`: what the steps can run on.

use clap::Args;
use serde::Serialize;

use crate::{Global, table};
use maf_srl::error::Result;
use maf_srl::gpu::{AdapterFacts, adapters, position};

/// List the adapters with backend, driver, limits and features that matter
///
/// The first column is what --device takes; a part of a name does as well. `cpu` stands for the float64 references on all
/// cores and is always there. With --device that one alone.
#[derive(Args, Clone, Debug)]
pub struct Devices {}

#[derive(Serialize)]
struct Document {
    adapters: Vec<AdapterFacts>,
}

impl Devices {
    pub(super) fn run(&self, global: &Global) -> Result<()> {
        let all = adapters();
        let named = match global.device.as_deref() {
            Some(name) if !global.on_cpu() => Some(position(&all, Some(name))?),
            _ => None,
        };
        let shown = |k: usize| !global.on_cpu() && named.is_none_or(|named| named == k);
        let facts = all.iter().enumerate().filter(|(k, _)| shown(*k)).map(|(k, a)| AdapterFacts::of(k, a));
        let adapters = facts.collect();
        global.print(&Document { adapters }, |document| {
            let head = [
                "device",
                "name",
                "backend",
                "kind",
                "driver",
                "binding MiB",
                "buffer MiB",
                "storage buffers",
                "invocations",
                "timestamps",
                "subgroups",
                "f16",
            ];
            let mut rows = vec![head.map(String::from).to_vec()];
            let yes = |there: bool| if there { "yes" } else { "no" }.to_string();
            for a in &document.adapters {
                rows.push(vec![
                    a.index.to_string(),
                    a.name.clone(),
                    a.backend.clone(),
                    a.kind.clone(),
                    a.driver.clone(),
                    (a.max_storage_buffer_binding_size >> 20).to_string(),
                    (a.max_buffer_size >> 20).to_string(),
                    a.max_storage_buffers_per_shader_stage.to_string(),
                    a.max_compute_invocations_per_workgroup.to_string(),
                    yes(a.timestamps),
                    yes(a.subgroups),
                    yes(a.f16),
                ]);
            }
            if named.is_none() {
                rows.push(["cpu", "float64 references on all cores"].map(String::from).to_vec());
            }
            table(&rows)
        })
    }
}
