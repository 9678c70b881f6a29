//! `maf-srl devices`: what the steps can run on.

use clap::Args;
use serde::Serialize;

use super::{Global, table};
use crate::error::Result;

/// List the adapters with backend and driver
#[derive(Args, Clone, Debug)]
pub struct Devices {}

#[derive(Serialize)]
struct Document {
    adapters: Vec<Row>,
}

/// One line of the list.
#[derive(Serialize)]
struct Row {
    /// What `--device` takes.
    device: String,
    name: String,
    backend: String,
    driver: String,
}

/// PLACEHOLDER: the GPU's adapters belong before the CPU.
fn adapters() -> Vec<Row> {
    let [device, name, backend, driver] = ["cpu", "cpu (float64 twins)", "cpu", ""].map(String::from);
    vec![Row { device, name, backend, driver }]
}

impl Devices {
    pub(super) fn run(&self, global: &Global) -> Result<()> {
        global.print(&Document { adapters: adapters() }, |document| {
            let head = ["device", "name", "backend", "driver"].map(String::from).to_vec();
            let rows = document
                .adapters
                .iter()
                .map(|row| [&row.device, &row.name, &row.backend, &row.driver].map(Clone::clone).to_vec());
            table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
        })
    }
}
