// needs: shared/activation, shared/any_broken, shared/broken, shared/place, shared/side
// layer: whole layers of MAF-SRL, y = Âᵀ [ xi(q Âr) - b ] with r = x - g / L, of which nothing but x, c and y passes through
// memory: a workgroup has all components of a few columns.
//
// chosen: layer/<word> (Word), layer/<data> (stepped), matrix/<format> (row_sum), layer/forward or layer/backward.

struct Job {
    plain: Side,
    transposed: Side,
    // n, m
    components: u32,
    columns: u32,
    // words of columns side by side in a workgroup, and all its words
    across: u32,
    words: u32,
    // invocations per word, a power of two; how often the invocations go round to have all words: once or twice
    lanes: u32,
    rounds: u32,
    layers: u32,
    // the first layer's learned numbers, and how far the next layer's are from them, and its values of Â
    learned: u32,
    learned_apart: u32,
    values_apart: u32,
    // where the L is whose 1 - 1/L multiplies ȳ, or NONE
    scale_at: u32,
    // whether inputs of the layers are kept, and whether the components of a vector of x are neighbours in memory
    keep: u32,
    samples: u32,
    x: Strided,
    data: Strided,
    // inputs of layers; ȳ
    beside: Strided,
    // y; u
    made: Strided,
    w: Strided,
    grad_r: Strided,
}

const NONE = 0xffffffffu;

// Words of one half of `held`: r (then y or ū) in the first, e (or ȳ) in the second. Where several invocations share a
// word there are at most 128 words, and the other half of the half takes their sums.
const HALF = 512u;
const SUMS = 256u;

override invocations: u32 = 256u;

@group(0) @binding(0) var<storage, read> job: Job;
@group(0) @binding(1) var<storage, read_write> theta: array<f32>;
@group(0) @binding(2) var<storage, read> structure: array<u32>;
@group(0) @binding(3) var<storage, read> values: array<f32>;
@group(0) @binding(4) var<storage, read_write> x: array<f32>;
@group(0) @binding(5) var<storage, read_write> data: array<f32>;
@group(0) @binding(6) var<storage, read_write> beside: array<f32>;
@group(0) @binding(7) var<storage, read_write> made: array<f32>;

var<workgroup> held: array<Word, 1024>;

// Columns that do not exist are zeros, and are not stored.
fn load_x(i: u32, c: u32) -> f32 {
    if c >= job.columns {
        return 0.0;
    }
    return x[place(job.x, i, c)];
}

fn load_data(i: u32, c: u32) -> f32 {
    if c >= job.columns {
        return 0.0;
    }
    return data[place(job.data, i, c)];
}

fn load_beside(i: u32, c: u32) -> f32 {
    if c >= job.columns {
        return 0.0;
    }
    return beside[place(job.beside, i, c)];
}

fn store_beside(i: u32, c: u32, start: u32, value: f32) {
    if c < job.columns {
        beside[start + place(job.beside, i, c)] = value;
    }
}

fn store_made(to: Strided, i: u32, c: u32, value: f32) {
    if c < job.columns {
        made[place(to, i, c)] = value;
    }
}

fn poisoned(v: f32, bad: bool) -> f32 {
    return bitcast<f32>(select(bitcast<u32>(v), QUIET_NAN, bad));
}

// Whether L or a number of the activation is no finite number: comparisons with it would mean nothing.
fn unusable(at: u32) -> bool {
    return broken(theta[at]) || any_broken(activation_at(at));
}

fn xi(v: f32, a: Activation, bad: bool) -> f32 {
    return poisoned(activation(v, a), bad || broken(v));
}

// ū = q xi'(v) w̄
fn back(v: f32, w: f32, q: f32, a: Activation, bad: bool) -> f32 {
    return poisoned(q * activation_slope(v, a) * w, bad || broken(v) || broken(w));
}

fn operand(start: u32, row: u32) -> Word {
    return held[start + row * job.across];
}

// One word of a product with what a half holds, complete in the first of the invocations that share it. All invocations
// of the workgroup come here together, also those without a word.
fn product(which: Side, word: u32, half: u32, index: u32) -> Word {
    let lanes = job.lanes;
    let lane = index % lanes;
    var sum = Word();
    if word < job.words {
        sum = row_sum(which, word / job.across, lane, lanes, half + word % job.across);
    }
    if lanes > 1u {
        held[half + SUMS + index] = sum;
        workgroupBarrier();
        if lane == 0u {
            for (var k = 1u; k < lanes; k += 1u) {
                sum += held[half + SUMS + index + k];
            }
        }
    }
    return sum;
}

// Component and column, from the workgroup's first, of the t-th word in the order that suits x in memory.
fn place_of(t: u32) -> vec2<u32> {
    if job.samples == 1u {
        return vec2(t % job.components, t / job.components);
    }
    return vec2(t / job.across, t % job.across);
}
