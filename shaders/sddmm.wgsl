// needs: shared/activation, shared/any_broken, shared/nan_if
// sddmm: the derivatives of a loss by the entries of Â, on its pattern: over some columns, the sums of e ȳ + ū r.
//
// chosen: sddmm/entries (work): some entries of one row; or QUADS, DEEP, sddmm/tiles (work): a square of 4 QUADS places
// a side.
struct Job {
    x: Strided,
    data: Strided,
    grad_output: Strided,
    u: Strided,
    w: Strided,
    // the layer's first learned number; L of the layer behind this one, by which ȳ is scaled, or NONE
    theta: u32,
    scale_at: u32,
    // whether `data` is phi's gradient, and not c
    given: u32,
    rows: u32,
    columns: u32,
    // runs of entries, or tiles; splits of the columns, and columns in each
    pieces: u32,
    splits: u32,
    span: u32,
    // invocations to an entry
    lanes: u32,
    // the first sum, from a split to the next, and whether they are added to what is there
    out: u32,
    apart: u32,
    add: u32,
    structure: array<u32>,
}

const NONE = 0xffffffffu;

override invocations: u32 = 256u;

@group(0) @binding(0) var<storage, read> job: Job;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> data: array<f32>;
@group(0) @binding(3) var<storage, read_write> grad_output: array<f32>;
@group(0) @binding(4) var<storage, read_write> u: array<f32>;
@group(0) @binding(5) var<storage, read_write> w: array<f32>;
@group(0) @binding(6) var<storage, read_write> theta: array<f32>;
@group(0) @binding(7) var<storage, read_write> out: array<f32>;

// What a layer's elements have in common.
struct Layer {
    a: Activation,
    bad: bool,
    inverse: f32,
    scale: f32,
}

fn layer() -> Layer {
    let a = activation_at(job.theta);
    let l = theta[job.theta];
    var scale = 1.0;
    if job.scale_at != NONE {
        let behind = theta[job.scale_at];
        scale = nan_if(broken(behind), 1.0 - 1.0 / behind);
    }
    return Layer(a, any_broken(a), nan_if(broken(l), 1.0 / l), scale);
}

// e and ū
fn of_row(row: u32, column: u32, known: Layer) -> vec2<f32> {
    let q = theta[job.theta + 8u + row];
    let b = theta[job.theta + 8u + job.rows + row];
    let v = q * u[place(job.u, row, column)];
    let w_here = w[place(job.w, row, column)];
    let bad = known.bad || broken(v);
    let e = nan_if(bad, activation(v, known.a)) - b;
    return vec2(e, nan_if(bad || broken(w_here), q * (activation_slope(v, known.a) * w_here)));
}

// ȳ and r
fn of_column(row: u32, column: u32, known: Layer) -> vec2<f32> {
    let x_here = x[place(job.x, row, column)];
    let d = data[place(job.data, row, column)];
    let g = select(x_here - d, d, job.given != 0u);
    return vec2(known.scale * grad_output[place(job.grad_output, row, column)], x_here - g * known.inverse);
}

fn keep(split: u32, entry: u32, sum: f32) {
    let at = job.out + split * job.apart + entry;
    if job.add != 0u {
        out[at] += sum;
    } else {
        out[at] = sum;
    }
}

@compute @workgroup_size(invocations)
fn sddmm(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) ids: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let group = id.x + id.y * ids.x;
    if group >= job.pieces * job.splits {
        return;
    }
    let split = group / job.pieces;
    let first = split * job.span;
    work(group % job.pieces, split, first, min(first + job.span, job.columns), index);
}
