//! Takes the schemas out of the chart's CustomResourceDefinitions, as compact JSON: making them from the types takes
//! longer than a command may. That the chart's files are those of the types is a test of `dynamo-api`.

use std::{error::Error, fmt::Write, fs, path::PathBuf};

use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(env("CARGO_MANIFEST_DIR")?).join("../../deploy/helm/charts/crds/templates");
    let out = PathBuf::from(env("OUT_DIR")?);
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files = fs::read_dir(&folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    files.sort();
    let mut table = String::from("&[\n");
    for file in files {
        let crd: Value = serde_yaml_ng::from_str(&fs::read_to_string(&file)?)?;
        let names = &crd["spec"]["names"];
        let kind = names["kind"].as_str().ok_or_else(|| format!("{} has no kind", file.display()))?;
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let target = out.join(format!("{kind}.json"));
        fs::write(&target, serde_json::to_string(schema)?)?;
        writeln!(
            table,
            "Definition {{ kind: {kind:?}, plural: {:?}, short_names: {:?}, text: include_str!({:?}) }},",
            names["plural"].as_str().unwrap_or_default(),
            names["shortNames"]
                .as_array()
                .map(|all| all.iter().filter_map(Value::as_str).collect::<Vec<_>>())
                .unwrap_or_default(),
            target.display().to_string()
        )?;
    }
    table.push(']');
    // Debug of a vector is an array; the table needs slices.
    fs::write(out.join("definitions.rs"), table.replace("short_names: [", "short_names: &["))?;
    Ok(())
}

fn env(name: &str) -> Result<String, std::env::VarError> {
    std::env::var(name)
}
