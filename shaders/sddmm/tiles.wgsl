// needs: sddmm
// A tile of 4 QUADS rows and as many columns of Â. DEEP columns of the batch at a time are staged, four rows to a word;
// each invocation has 4 x 4 places of the tile.
//
// The structure, of each tile: its first row and column; per row the number of its first entry in the tile, and the
// pattern as bits.

// the next column's words lie one further on, in other banks of memory
const PITCH = QUADS + 1u;
const WORDS = QUADS / 8u;
const PLACES = DEEP * PITCH;

var<workgroup> es: array<vec4<f32>, PLACES>;
var<workgroup> u_bars: array<vec4<f32>, PLACES>;
var<workgroup> y_bars: array<vec4<f32>, PLACES>;
var<workgroup> rs: array<vec4<f32>, PLACES>;

fn row_or_zero(row: u32, column: u32, end: u32, known: Layer) -> vec2<f32> {
    if row < job.rows && column < end {
        return of_row(row, column, known);
    }
    return vec2(0.0);
}

fn column_or_zero(row: u32, column: u32, end: u32, known: Layer) -> vec2<f32> {
    if row < job.rows && column < end {
        return of_column(row, column, known);
    }
    return vec2(0.0);
}

// The entries among four neighbours of a row.
fn keep_four(split: u32, row_at: u32, quad: u32, sums: vec4<f32>) {
    var k = job.structure[row_at];
    if quad >= 8u {
        k += countOneBits(job.structure[row_at + 1u]);
    }
    let bits = job.structure[row_at + 1u + quad / 8u];
    let shift = 4u * (quad % 8u);
    k += countOneBits(bits & ((1u << shift) - 1u));
    let four = bits >> shift;
    if (four & 1u) != 0u {
        keep(split, k, sums.x);
        k += 1u;
    }
    if (four & 2u) != 0u {
        keep(split, k, sums.y);
        k += 1u;
    }
    if (four & 4u) != 0u {
        keep(split, k, sums.z);
        k += 1u;
    }
    if (four & 8u) != 0u {
        keep(split, k, sums.w);
    }
}

fn work(piece: u32, split: u32, first: u32, end: u32, index: u32) {
    let at = piece * (2u + 4u * QUADS * (1u + WORDS));
    let top = job.structure[at];
    let left = job.structure[at + 1u];
    let down = index / QUADS;
    let across = index % QUADS;
    let known = layer();
    var sum0 = vec4(0.0);
    var sum1 = vec4(0.0);
    var sum2 = vec4(0.0);
    var sum3 = vec4(0.0);
    for (var block = first; block < end; block += DEEP) {
        for (var item = index; item < 2u * DEEP * QUADS; item += invocations) {
            let k = item % DEEP;
            let quad = (item / DEEP) % QUADS;
            let column = block + k;
            if item < DEEP * QUADS {
                let row = top + 4u * quad;
                let a = row_or_zero(row, column, end, known);
                let b = row_or_zero(row + 1u, column, end, known);
                let c = row_or_zero(row + 2u, column, end, known);
                let d = row_or_zero(row + 3u, column, end, known);
                es[k * PITCH + quad] = vec4(a.x, b.x, c.x, d.x);
                u_bars[k * PITCH + quad] = vec4(a.y, b.y, c.y, d.y);
            } else {
                let row = left + 4u * quad;
                let a = column_or_zero(row, column, end, known);
                let b = column_or_zero(row + 1u, column, end, known);
                let c = column_or_zero(row + 2u, column, end, known);
                let d = column_or_zero(row + 3u, column, end, known);
                y_bars[k * PITCH + quad] = vec4(a.x, b.x, c.x, d.x);
                rs[k * PITCH + quad] = vec4(a.y, b.y, c.y, d.y);
            }
        }
        workgroupBarrier();
        for (var k = 0u; k < DEEP; k += 1u) {
            let e = es[k * PITCH + down];
            let grad_u = u_bars[k * PITCH + down];
            let y_bar = y_bars[k * PITCH + across];
            let r = rs[k * PITCH + across];
            sum0 += e.x * y_bar + grad_u.x * r;
            sum1 += e.y * y_bar + grad_u.y * r;
            sum2 += e.z * y_bar + grad_u.z * r;
            sum3 += e.w * y_bar + grad_u.w * r;
        }
        workgroupBarrier();
    }
    let row_at = at + 2u + 4u * down * (1u + WORDS);
    keep_four(split, row_at, across, sum0);
    keep_four(split, row_at + 1u + WORDS, across, sum1);
    keep_four(split, row_at + 2u * (1u + WORDS), across, sum2);
    keep_four(split, row_at + 3u * (1u + WORDS), across, sum3);
}
