//! `maf-srl wgsl` as hosts in other languages find it: modules that stand alone, and JSON that says what they
//! say.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use maf_srl::kernels::{KERNELS, Source};
use serde_json::{Value, json};
use support::Place;
use wgpu::naga::{self, TypeInner};

/// Every file below a folder, from there on.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn add(root: &Path, folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                add(root, &path, found);
            } else {
                let name = path.strip_prefix(root).expect("below").to_str().expect("a text").to_owned();
                found.insert(name, fs::read(&path).expect("reads"));
            }
        }
    }
    let mut found = BTreeMap::new();
    add(folder, folder, &mut found);
    found
}

fn parsed(name: &str, text: &[u8]) -> (naga::Module, naga::valid::ModuleInfo) {
    let text = std::str::from_utf8(text).expect("a text");
    let module =
        naga::front::wgsl::parse_str(text).unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(text)));
    let (flags, features) = (naga::valid::ValidationFlags::all(), naga::valid::Capabilities::default());
    let info = naga::valid::Validator::new(flags, features).validate(&module);
    (module, info.unwrap_or_else(|e| panic!("{name}: {e:?}")))
}

/// Bindings that a module uses, in the order of their numbers.
fn bindings(module: &naga::Module, info: &naga::valid::ModuleInfo) -> Vec<Value> {
    let mut found = BTreeMap::new();
    for (handle, global) in module.global_variables.iter() {
        let Some(at) = global.binding.as_ref().filter(|_| !info.get_entry_point(0)[handle].is_empty()) else {
            continue;
        };
        let naga::AddressSpace::Storage { access } = global.space else { panic!("{global:?}") };
        let written = access.contains(naga::StorageAccess::STORE);
        let stride = match module.types[global.ty].inner {
            TypeInner::Array { stride, .. } => Some(stride),
            _ => None,
        };
        let said = json!({
            "group": at.group, "binding": at.binding, "name": global.name, "address_space": "storage",
            "access": if written { "read_write" } else { "read" },
            "buffer_type": if written { "storage" } else { "read-only-storage" },
            "stride": stride,
        });
        assert!(found.insert((at.group, at.binding), said).is_none(), "{at:?} twice");
    }
    found.into_values().collect()
}

/// The bytes of a type of WGSL, by its name.
fn bytes(r#type: &str) -> Option<u64> {
    match r#type {
        "f32" | "u32" => Some(4),
        _ => None,
    }
}

/// The layouts that the JSON has are those of the module, member by member.
fn same_layouts(name: &str, module: &naga::Module, about: &Value) {
    let structs = about["structs"].as_array().expect("a list");
    for said in structs {
        let name = format!("{name}: {}", said["name"]);
        let found = module.types.iter().find(|(_, ty)| ty.name.as_deref() == said["name"].as_str());
        let TypeInner::Struct { members, span } = &found.expect("in the module").1.inner else {
            panic!("{name}")
        };
        let list = said["members"].as_array().expect("a list");
        assert_eq!(list.len(), members.len(), "{name}");
        let mut end = 0;
        for (said, member) in list.iter().zip(members) {
            assert_eq!(said["name"].as_str(), member.name.as_deref(), "{name}");
            assert_eq!(said["offset"], json!(member.offset), "{name}: {}", said["name"]);
            let r#type = said["type"].as_str().expect("a text");
            let nested =
                structs.iter().find(|of| of["name"] == r#type).map(|of| of["size"].as_u64().expect("bytes"));
            if r#type == "array<u32>" {
                assert!(said["size"].is_null(), "{name}");
                continue;
            }
            let size = nested.or(bytes(r#type)).unwrap_or_else(|| panic!("{name}: no layout of {}", r#type));
            assert_eq!(said["size"], json!(size), "{name}: {}", said["name"]);
            end = u64::from(member.offset) + size;
        }
        let open = list.last().is_some_and(|last| last["size"].is_null());
        assert_eq!(said["size"], json!(if open { end } else { u64::from(*span) }), "{name}");
    }
}

fn same(name: &str, source: &Source, text: &[u8], about: &Value) {
    assert!(text == source.wgsl.as_bytes(), "{name}");
    let (module, info) = parsed(name, text);
    let [entry] = module.entry_points.as_slice() else { panic!("{name}: entry points") };
    assert_eq!(about["entry_point"], entry.name.as_str(), "{name}");
    let (kernel, variant) = name.split_once('/').expect("kernel/variant");
    assert_eq!((&about["kernel"], &about["variant"]), (&json!(kernel), &json!(variant)));
    // the size is the one constant that is to be overridden
    let said = json!([{ "name": "invocations", "type": "u32", "default": 256, "value": source.invocations }]);
    assert_eq!(about["overrides"], said, "{name}");
    assert_eq!(module.overrides.len(), 1, "{name}");
    assert!(matches!(entry.workgroup_size_overrides, Some([Some(_), None, None])), "{name}");
    assert_eq!(about["workgroup_size"], json!([source.invocations, 1, 1]), "{name}");

    let mut said = about["bindings"].clone();
    for binding in said.as_array_mut().expect("a list") {
        let r#type = binding.as_object_mut().expect("an object").remove("type").expect("a type");
        let element = r#type.as_str().expect("a text").trim_start_matches("array<").trim_end_matches('>');
        assert!(!element.is_empty(), "{name}: {binding}");
        // of a struct there is a layout
        if element.starts_with(char::is_uppercase) {
            let mut structs = about["structs"].as_array().expect("a list").iter();
            assert!(structs.any(|of| of["name"] == element), "{name}: no layout of {element}");
        }
    }
    assert_eq!(said, json!(bindings(&module, &info)), "{name}");
    same_layouts(name, &module, about);
    // no subject is lost under another's text
    let rules = about["rules"].as_object().expect("an object");
    assert_eq!(rules.len(), source.rules.len(), "{name}");
    for rule in &source.rules {
        assert_eq!(rules[rule.subject], rule.text, "{name}");
        assert!(!rule.text.is_empty(), "{name}: {}", rule.subject);
    }
    assert_eq!(source.rules[0].subject, "workgroup", "{name}");
}

#[test]
fn every_variant_is_written_once_and_says_what_it_is() {
    let place = Place::new();
    let printed = place.json("wgsl --json --out all");
    assert_eq!(printed, place.document("all/index.json"));
    let mut found = files(&place.at("all"));
    assert!(found.remove("index.json").is_some());
    let listed = printed["kernels"].as_array().expect("a list");
    assert_eq!(listed.len(), KERNELS.len());
    let mut modules = 0;
    for (kernel, listed) in KERNELS.iter().zip(listed) {
        assert_eq!(listed["name"], kernel.name);
        let variants = (kernel.variants)();
        let listed = listed["variants"].as_array().expect("a list");
        assert_eq!(listed.len(), variants.len(), "{}", kernel.name);
        for (source, listed) in variants.iter().zip(listed) {
            let name = format!("{}/{}", kernel.name, source.name);
            assert_eq!(listed["name"], source.name.as_str());
            let mut take = |what: &str, ending: &str| {
                let at = listed[what].as_str().expect("a place");
                assert_eq!(at, format!("{name}.{ending}"));
                found.remove(at).unwrap_or_else(|| panic!("{at} is missing, or listed twice"))
            };
            let (text, about) = (take("module", "wgsl"), take("about", "json"));
            same(&name, source, &text, &serde_json::from_slice(&about).expect("JSON"));
            modules += 1;
        }
    }
    assert!(found.is_empty(), "written, and not listed: {:?}", found.keys());
    assert!(modules > 600, "{modules}");
}

#[test]
fn the_same_bytes_again_of_what_is_selected() {
    let place = Place::new();
    place.json("wgsl --json --out a/b/one --kernels norms,chain,norms");
    place.json("wgsl --json --out two --kernels chain,norms");
    let (one, two) = (files(&place.at("a/b/one")), files(&place.at("two")));
    assert!(one == two);
    let kernels: BTreeSet<_> = one.keys().filter_map(|name| Some(name.split_once('/')?.0)).collect();
    assert_eq!(kernels, BTreeSet::from(["chain", "norms"]));

    // a table for people
    let output = place.run("wgsl --out two --kernels chain");
    let said = String::from_utf8(output.stdout).expect("a text");
    assert!(output.status.success() && said.contains("index.json") && said.contains("chain"), "{said}");
    // what is not written again stays, and the index says what is
    assert!(place.at("two/norms/l2/each.wgsl").exists());
    let listed = &place.document("two/index.json")["kernels"];
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    let left = fs::read_dir(place.at("two/chain")).expect("a folder").count();
    assert_eq!(left, 2, "no temporary file stays");
}

/// What a host needs for a row of settings and a tile is in the JSON, in the module's own words.
#[test]
fn members_are_explained() {
    let place = Place::new();
    place.json("wgsl --json --out m --kernels step,learn,layer");
    let about = |at: &str, name: &str| -> Value {
        let structs = place.document(at)["structs"].clone();
        let list = structs.as_array().expect("a list").iter();
        list.clone().find(|of| of["name"] == name).unwrap_or_else(|| panic!("{at}: {name}")).clone()
    };
    let says = |of: &Value, what: &str| {
        assert!(of["about"].as_str().is_some_and(|text| text.contains(what)), "{what:?} is not in {of}");
    };
    let tl1 = "m/step/momentum/tl1/vec4.json";
    says(&about(tl1, "Constants"), "c = t a (a+1)");
    says(&about(tl1, "Base"), "Nesterov is look = 1");
    says(&about(tl1, "Mode"), "whether it sits out");
    says(&about(tl1, "Row"), "change from step to step");
    says(&about(tl1, "Tile"), "the work of one workgroup");
    let row = about(tl1, "Row");
    let types: Vec<_> = row["members"].as_array().expect("a list").iter().map(|m| &m["type"]).collect();
    assert_eq!(types, ["Base", "Constants", "Mode"]);
    // of members, and not how the module is put together
    let job = about("m/layer/forward/csr/vec4/near.json", "Job");
    let lanes =
        job["members"].as_array().expect("a list").iter().find(|m| m["name"] == "lanes").expect("lanes");
    says(lanes, "a power of two");
    assert!(!job.to_string().contains("chosen:") && !job.to_string().contains("needs:"));
    let rules = place.document(tl1)["rules"].clone();
    for (subject, what) in [
        ("workgroup", "one tile"),
        ("fold", "num_workgroups.x"),
        ("tiles", "stride"),
        ("alignment", "minStorageBufferOffsetAlignment"),
        ("rows", "mode.freeze"),
        ("status", "not finite"),
    ] {
        assert!(rules[subject].as_str().is_some_and(|text| text.contains(what)), "{subject}: {rules}");
    }
}

#[test]
fn what_cannot_be_written_is_refused() {
    let place = Place::new();
    place.refuses("wgsl", &["--out"]);
    place.refuses("wgsl --out m --kernels step,steps", &["--kernels", "\"steps\"", "there are step, group"]);
    place.refuses("wgsl --out m --kernels step,", &["--kernels", "\"\""]);
    fs::write(place.at("file"), "x").expect("written");
    place.refuses("wgsl --out file", &["file", "is not a folder", "a new or empty folder"]);
    place.refuses("wgsl --out file/m --kernels chain", &["file"]);

    // files of someone else, and an index of another program
    fs::create_dir(place.at("mine")).expect("a folder");
    place.json("wgsl --json --out mine --kernels chain");
    fs::create_dir(place.at("other")).expect("a folder");
    for (name, text) in
        [("notes.txt", "x"), ("index.json", "{\"generator\": \"another\"}"), ("index.json", "{")]
    {
        fs::write(place.at("other").join(name), text).expect("written");
        let before = files(&place.at("other"));
        place.refuses("wgsl --out other --kernels chain", &["other", "has not written", "--force"]);
        assert!(files(&place.at("other")) == before);
    }
    place.json("wgsl --json --out other --kernels chain --force");
    assert_eq!(place.text("other/notes.txt"), "x");
    assert_eq!(place.read("other/chain/input.wgsl"), place.read("mine/chain/input.wgsl"));
    // ours now
    place.json("wgsl --json --out other --kernels chain");

    // a folder where a module should go
    fs::create_dir_all(place.at("taken/chain/input.wgsl")).expect("a folder");
    let refusal = ["chain/input.wgsl", "not a regular file"];
    place.refuses("wgsl --out taken --kernels chain --force", &refusal);
}
