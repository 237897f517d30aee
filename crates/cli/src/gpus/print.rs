//! The table, JSON and CSV forms of the inventory (`tools.md` section 3.3).
//! Nothing is judged here.

use std::io::{self, Write};

use serde::Serialize;

use super::{
    aggregate::{Choice, Summary},
    inventory::Item,
};
use crate::layout;

const HEAD: [&str; 8] = ["NODE", "GPUS", "MODEL", "VRAM/GPU", "MIG", "USED", "READY", "SCHEDULABLE"];

/// The JSON form.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    pub source: &'a str,
    pub items: &'a [Item],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aggregate: Option<&'a Summary>,
}

fn gib(mib: u64) -> String {
    // One decimal: a float is exact enough for any memory there is.
    #[expect(clippy::cast_precision_loss, reason = "memory is far below 2^52 MiB")]
    let mib = mib as f64;
    format!("{:.1} GiB", mib / 1024.0)
}

fn yes(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

fn mig(item: &Item, details: bool) -> String {
    match item.mig_capable {
        Some(true) if !details => "yes".to_owned(),
        Some(true) if item.mig_resources.is_empty() => "capable".to_owned(),
        Some(true) => {
            let short = |name: &'_ str| name.rsplit('/').next().unwrap_or_default().to_owned();
            let parts: Vec<String> =
                item.mig_resources.iter().map(|(name, count)| format!("{}={count}", short(name))).collect();
            parts.join(",")
        }
        Some(false) if details => "no".to_owned(),
        _ => String::new(),
    }
}

/// The table; `details` spells out MIG resources.
///
/// # Errors
/// The output cannot be written.
pub fn table(items: &[Item], details: bool, out: &mut impl Write) -> io::Result<()> {
    let text = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
    let rows: Vec<[String; 8]> = items
        .iter()
        .map(|item| {
            [
                item.node_name.clone(),
                text(item.gpu_count),
                item.gpu_product.clone().unwrap_or_default(),
                item.gpu_memory_mib.map_or_else(String::new, gib),
                mig(item, details),
                text(item.used_gpu),
                yes(item.ready),
                yes(item.schedulable),
            ]
        })
        .collect();
    let head = HEAD.map(str::to_owned);
    let all = std::iter::once(&head).chain(&rows);
    let widths = layout::widths(all.map(<[String; 8]>::as_slice));
    let mut line = |row: &[String]| writeln!(out, "{}", layout::aligned(row, &widths, 2));
    line(&head)?;
    line(&widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>())?;
    rows.iter().try_for_each(|row| line(row))
}

/// The line below the table.
///
/// # Errors
/// The output cannot be written.
pub fn aggregate(choice: &Choice, out: &mut impl Write) -> io::Result<()> {
    let Summary { gpus_per_node, model, vram } = &choice.summary;
    let vram = if *vram == 0 { String::new() } else { gib(*vram) };
    writeln!(out, "Aggregate => GPUS: {gpus_per_node}  MODEL: {model}  VRAM/GPU: {vram}")
}

/// The CSV form: the field names of the JSON as header, nothing for what is not known.
///
/// # Errors
/// The output cannot be written.
pub fn csv(items: &[Item], out: &mut impl Write) -> io::Result<()> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(out);
    writer.write_record([
        "node_name",
        "gpu_count",
        "gpu_product",
        "gpu_memory_mib",
        "mig_capable",
        "allocatable_gpu",
        "mig_resources",
        "ready",
        "schedulable",
        "used_gpu",
    ])?;
    let text = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
    for item in items {
        let mig: Vec<String> =
            item.mig_resources.iter().map(|(name, count)| format!("{name}={count}")).collect();
        writer.write_record([
            item.node_name.clone(),
            text(item.gpu_count),
            item.gpu_product.clone().unwrap_or_default(),
            text(item.gpu_memory_mib),
            item.mig_capable.map_or_else(String::new, |capable| capable.to_string()),
            text(item.allocatable_gpu),
            mig.join(","),
            item.ready.to_string(),
            item.schedulable.to_string(),
            text(item.used_gpu),
        ])?;
    }
    writer.flush()
}
