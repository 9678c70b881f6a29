//! throw-away
fn main() {
    let mut all = Vec::new();
    for room in maf_srl::kernels::ROOMS {
        for (name, source) in (room.variants)() {
            all.push(serde_json::json!({"room": room.name, "name": name, "source": source, "wgsl": source, "entry": room.name}));
        }
    }
    println!("{}", serde_json::to_string(&all).unwrap());
}
