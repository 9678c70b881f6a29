// What a dispatch works on. Batches are read and written at `at + component * down + vector * across`.
struct Job {
    side: Side,
    vectors: u32,
    // invocations side by side, each with its own vectors; invocations that share a row; rows that a workgroup works on at
    // a time; from a lane and from a row to the next, in invocations
    beside: u32,
    lanes: u32,
    rows_at_once: u32,
    lane_step: u32,
    row_step: u32,
    // workgroups side by side, and all of them
    blocks: u32,
    groups: u32,
    x_at: u32,
    x_down: u32,
    x_across: u32,
    other_at: u32,
    other_down: u32,
    other_across: u32,
    y_at: u32,
    y_down: u32,
    y_across: u32,
    // where the layer, its q and its b start among the learned numbers, and the L of the scale, or NONE
    theta: u32,
    q: u32,
    b: u32,
    scale_at: u32,
}

const NONE = 0xffffffffu;
const QUIET_NAN = 0x7fc00000u;

override invocations: u32 = 256u;

@group(0) @binding(0) var<storage, read> job: Job;
@group(0) @binding(1) var<storage, read> structure: array<u32>;
@group(0) @binding(2) var<storage, read> values: array<f32>;
// views of one buffer, perhaps, of which one is written
@group(0) @binding(3) var<storage, read_write> theta: array<f32>;
@group(0) @binding(4) var<storage, read_write> x: array<f32>;
@group(0) @binding(5) var<storage, read_write> other: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;

// Tested on the bits: a WGSL compiler may assume that comparisons never see a NaN or an infinity.
fn broken(value: f32) -> bool {
    return (bitcast<u32>(value) & 0x7fffffffu) >= 0x7f800000u;
}

fn broken_activation(a: Activation) -> bool {
    return broken(a.eta1) || broken(a.eta2) || broken(a.delta1) || broken(a.delta2);
}

// 1 / L.
fn step_size(l: f32) -> f32 {
    return bitcast<f32>(select(bitcast<u32>(1.0 / l), QUIET_NAN, broken(l)));
}
