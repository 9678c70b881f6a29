// needs: shared/side, shared/place, shared/broken, shared/activation, shared/any_broken
// What a dispatch works on.
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
    x: Strided,
    other: Strided,
    y: Strided,
    // where the layer, its q and its b start among the learned numbers, and the L of the scale, or NONE
    theta: u32,
    q: u32,
    b: u32,
    scale_at: u32,
}

const NONE = 0xffffffffu;

override invocations: u32 = 256u;

@group(0) @binding(0) var<storage, read> job: Job;
@group(0) @binding(1) var<storage, read> structure: array<u32>;
@group(0) @binding(2) var<storage, read> values: array<f32>;
// views of one buffer, perhaps, of which one is written
@group(0) @binding(3) var<storage, read_write> theta: array<f32>;
@group(0) @binding(4) var<storage, read_write> x: array<f32>;
@group(0) @binding(5) var<storage, read_write> other: array<f32>;
// in bits, so that zeros are told by them
@group(0) @binding(6) var<storage, read_write> y: array<u32>;

// 1 / L.
fn step_size(l: f32) -> f32 {
    return bitcast<f32>(select(bitcast<u32>(1.0 / l), QUIET_NAN, broken(l)));
}
