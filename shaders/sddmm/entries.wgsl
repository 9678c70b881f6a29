// needs: sddmm
// Some entries of one row: e and ū of the row are computed once, for 256 columns at a time; `lanes` invocations share an
// entry, a column each, four columns at a time so that many loads are under way.
//
// The structure: row, first entry and number of entries of each run; then the column of each entry.
var<workgroup> staged: array<vec2<f32>, 256>;
var<workgroup> halves: array<f32, 256>;

// The term of a column of those staged; 0 behind the last.
fn term(k: u32, width: u32, row: u32, block: u32, known: Layer) -> f32 {
    let inside = min(k, width - 1u);
    let own = staged[inside];
    let other = of_column(row, block + inside, known);
    return select(0.0, own.x * other.x + own.y * other.y, k < width);
}

fn work(piece: u32, split: u32, first: u32, end: u32, index: u32) {
    let row = job.structure[3u * piece];
    let entry = job.structure[3u * piece + 1u];
    let count = job.structure[3u * piece + 2u];
    let lanes = job.lanes;
    let lane = index % lanes;
    let slot = index / lanes;
    let other = job.structure[3u * job.pieces + entry + min(slot, count - 1u)];
    let known = layer();
    var sum = 0.0;
    for (var block = first; block < end; block += 256u) {
        let width = min(256u, end - block);
        if index < width {
            staged[index] = of_row(row, block + index, known);
        }
        workgroupBarrier();
        if slot < count {
            for (var k = lane; k < width; k += 4u * lanes) {
                let a = term(k, width, other, block, known);
                let b = term(k + lanes, width, other, block, known);
                let c = term(k + 2u * lanes, width, other, block, known);
                let d = term(k + 3u * lanes, width, other, block, known);
                sum += (a + b) + (c + d);
            }
        }
        workgroupBarrier();
    }
    halves[index] = sum;
    workgroupBarrier();
    for (var half = lanes / 2u; half > 0u; half /= 2u) {
        if lane < half {
            sum += halves[index + half];
            halves[index] = sum;
        }
        workgroupBarrier();
    }
    if lane == 0u && slot < count {
        keep(split, entry + slot, sum);
    }
}
