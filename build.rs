//! A shader file that is added or taken away changes what is built: of a folder that it includes the compiler sees only the
//! files that were there.

fn main() {
    println!("cargo:rerun-if-changed=shaders");
}
