//! What a host in any language keeps to when it dispatches a kernel, in words: what the WGSL by itself does
//! not say.
//!
//! What one workgroup takes stands with each kernel (`Program::work`); here is what kernels have in common.
//! `maf-srl wgsl` writes both beside the modules, and `examples/javascript` follows them with nothing else in
//! hand.

/// One rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it is about, in one word.
    pub subject: &'static str,
    /// What it says.
    pub text: &'static str,
}

const fn rule(subject: &'static str, text: &'static str) -> Rule {
    Rule { subject, text }
}

/// What `dispatch::folded` does.
const FOLD: Rule = rule(
    "fold",
    "n workgroups are dispatched as (x, y, 1) with y = ceil(n / maxComputeWorkgroupsPerDimension), at least \
     1, and x = ceil(n / y). A workgroup's number is workgroup_id.x + workgroup_id.y * num_workgroups.x; \
     those from n on do nothing.",
);

/// Of kernels that read a job, as `Dispatch::of_job` and `window::Window` have it.
pub(super) const JOB: &[Rule] = &[
    FOLD,
    rule(
        "job",
        "Binding 0 is one struct, written by the host into a buffer of its own; its flags are 0 or 1. Its \
         places count elements of 4 bytes from the start of their bindings. Number (component, vector) of a \
         batch lies at first + component * down + vector * across of its `Strided`.",
    ),
    rule(
        "alignment",
        "An array is bound from the multiple of minStorageBufferOffsetAlignment at or below its first byte, \
         to its end; its first element from there goes into the job. It must lie within one binding.",
    ),
];

/// The same of kernels whose workgroups are not folded.
pub(super) const JOB_UNFOLDED: &[Rule] = &[JOB[1], JOB[2]];

/// What `packer::Packer::close` does.
const WINDOW: Rule = rule(
    "alignment",
    "Each array is bound from a multiple of minStorageBufferOffsetAlignment, and of 16 bytes, at or below \
     the first byte that the dispatch's tiles touch, to the end of the last; places in tiles count from \
     there. What does not fit maxStorageBufferBindingSize goes into another dispatch with a binding of its \
     own. All are bound as writable, so that WebGPU demands that their ranges do not overlap.",
);

/// What `schedule` and `step::StepRow` do.
const ROWS: Rule = rule(
    "rows",
    "Binding 1 is an array of `Row`, one per tensor (tensors of equal numbers may share one); a tile's `row` is an index into it. base: \
     the numbers of the base step for the learning rate and the number of the step. prox: the numbers of \
     the penalty for the learning rate as step size, and lambda; `threshold` is the magnitude up to which \
     the result is 0, `jump` the least magnitude of one that is not. group and pull, where a row has them: \
     those of the penalty of groups. Learning rate, lambda and shape parameters are rounded to f32 first; \
     from these the numbers are computed in float64 (`constants` in src/penalty/<name>.rs, \
     src/penalty/group/<name>.rs and src/kernels/step), clamped to the range of f32 and rounded once. \
     Members called unused are 0. mode.rests is 1 for a tensor that sits out, mode.freeze is 1 where zeros \
     stay zeros; else both are 0.",
);

const STATUS: Rule = rule(
    "status",
    "Binding 2 has one u32 per tensor, which the host sets to 0 before the step; a tile's `tensor` is an \
     index into it. Elements that are not finite are counted there.",
);

/// Of the kernel `step`, whose `dispatch.rs` cuts like this.
pub(super) const STEP: &[Rule] = &[
    FOLD,
    rule(
        "tiles",
        "Binding 0 has one `Tile` per workgroup, by their numbers, and tiles of zeros up to x * y. Its \
         places and its length count elements of the arrays w, g, m and v, whose stride is 4 bytes (scalar) \
         or 16 (vec4), from the start of their bindings. Any length is right: the library takes 256, and \
         1024 in steps of 2^22 numbers or more. No number of a tensor is in two tiles.",
    ),
    rule(
        "widths",
        "Where the first numbers of all arrays of a tensor lie at places of their buffers that agree modulo \
         four, vec4 takes the words of four that are whole, and scalar the up to three numbers before and \
         behind; else scalar takes all.",
    ),
    WINDOW,
    ROWS,
    STATUS,
];

/// What `tiles.rs` and `packer.rs` make.
const GROUPED: Rule = rule(
    "tiles",
    "Binding 0 has one `Tile` of 80 bytes per workgroup, by their numbers, and up to x * y tiles of zeros \
     but lanes = 1 and entry = 0xffffffff; behind these, in words of 16 bytes, the entries of groups that \
     differ: start from the tile's first element, length, weight as the bits of an f32, number from the \
     tile's first group. `entry` is the first group's, in words of 16 bytes from the start of the table, or \
     0xffffffff where the tile itself says all. Places and lengths count numbers of 4 bytes from the start \
     of their bindings, in vec4 variants too, where every group of every array starts and ends at a \
     multiple of four. `vec4` is for members side by side, `vec4-runs` for runs of a multiple of four, `columns` \
     for single members equally far apart, `strided` for any; `lanes` is a power of two. src/kernels/tiles.rs cuts: on it depends in \
     which order sums are taken, and with it their bits.",
);

/// Of the kernels `group` and `solver`.
pub(super) const GROUPS: &[Rule] = &[
    FOLD,
    GROUPED,
    rule(
        "stages",
        "A group of up to 4096 members takes one kernel. A larger one is cut into parts of up to 16384 \
         members and takes one dispatch per stage, one after another, which hand numbers on in the scratch \
         buffer; a tile of parts has no more groups than 256 invocations over `lanes`.",
    ),
    WINDOW,
    ROWS,
    STATUS,
];

/// Of the kernel `norms`.
pub(super) const NORMS: &[Rule] = &[
    FOLD,
    GROUPED,
    rule(
        "stages",
        "A group of up to 16384 members, or 512 that lie apart, takes one kernel. A larger one is cut into \
         parts of that size: the kernel `part` leaves what each adds up to, in one word of 16 bytes, which \
         `combine` puts together.",
    ),
    WINDOW,
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::kernels::KERNELS;
    use crate::kernels::tiles::{HELD, PART, Tile};
    use crate::kernels::word::WORKGROUP;

    /// Numbers in the texts are those of the code.
    #[test]
    fn rules_have_the_numbers_of_the_code() {
        let says = |rules: &[Rule], subject: &str, number: String| {
            let text = rules.iter().find(|rule| rule.subject == subject).expect("the rule").text;
            let words = text.split(|c: char| !c.is_ascii_alphanumeric());
            assert!(words.into_iter().any(|word| word == number), "{number} is not in: {text}");
        };
        says(STEP, "tiles", WORKGROUP.to_string());
        says(STEP, "tiles", (4 * WORKGROUP).to_string());
        says(GROUPS, "tiles", size_of::<Tile>().to_string());
        says(GROUPS, "stages", HELD.to_string());
        says(GROUPS, "stages", PART.to_string());
        says(NORMS, "stages", PART.to_string());
        says(NORMS, "stages", (PART / 32).to_string());
    }

    #[test]
    fn every_variant_has_rules_of_different_subjects_that_lead_somewhere() {
        for variant in KERNELS.iter().flat_map(|room| (room.variants)()) {
            let mut subjects: Vec<_> = variant.rules.iter().map(|rule| rule.subject).collect();
            assert_eq!(subjects[0], "workgroup", "{}", variant.name);
            subjects.sort_unstable();
            assert!(subjects.windows(2).all(|pair| pair[0] != pair[1]), "{}: {subjects:?}", variant.name);
            assert!(variant.rules.iter().all(|rule| !rule.text.is_empty()), "{}", variant.name);
            // where they send a reader, there is something
            let words = variant.rules.iter().flat_map(|rule| rule.text.split([' ', ',', '(', ')']));
            for path in words.filter(|word| word.starts_with("src/")) {
                let path = path.split('<').next().unwrap();
                assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists(), "{path}");
            }
        }
    }
}
